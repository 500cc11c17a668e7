"""lif.cu without a GPU: it compiles for every architecture, dtype and T; and the host side of its launches."""

import ctypes
import subprocess
import sys

import pytest
import torch

from iemf_snn.kernels import cupy_cuda

KERNELS = ("lif_forward", "lif_backward", "norm_lif_forward", "norm_lif_sums", "norm_lif_backward")
STEPS = range(1, 9)


def widths(dtype, steps):
    """The vector widths that a launch may ask for."""
    widest = cupy_cuda.LOAD // dtype.itemsize
    return [width for width in (1, 2, 4, 8) if width <= widest and (width == 1 or width * steps <= cupy_cuda.REGISTERS)]


@pytest.mark.parametrize("capability", [75, 80, 90])
@pytest.mark.parametrize("dtype", cupy_cuda.SCALARS)
def test_the_source_compiles_with_nvrtc(capability, dtype):
    """To machine code, so that the assembler has seen the inline PTX too; a warning fails."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="torch without CUDA brings no NVRTC")
    expressions = [
        f"{kernel}<{cupy_cuda.SCALARS[dtype]}, {steps}, {width}>"
        for kernel in KERNELS
        for steps in STEPS
        for width in {widths(dtype, steps)[-1], *([1] if steps == 4 else [])}
    ]
    _, program = nvrtc.nvrtcCreateProgram(cupy_cuda.SOURCE.read_bytes(), b"lif.cu", 0, [], [])
    for expression in expressions:
        assert nvrtc.nvrtcAddNameExpression(program, expression.encode())[0] == 0
    options = [f"--gpu-architecture=sm_{capability}", *cupy_cuda.OPTIONS]
    (result,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = bytes(
        max(size, 2)
    )  # it is written into: one byte would be Python's only b" " (torch could read no file then)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert (result, log.strip(b"\0")) == (0, b""), log.decode()
    assert nvrtc.nvrtcGetCUBINSize(program)[1] > 1000
    for expression in expressions:
        assert nvrtc.nvrtcGetLoweredName(program, expression.encode())[0] == 0


def test_the_shims_half_precision_is_torchs(host_library):
    """All 65536 values one way, and every rounding case the other."""
    host_library.widen.restype, host_library.widen.argtypes = ctypes.c_float, [ctypes.c_ushort]
    host_library.narrow.restype, host_library.narrow.argtypes = ctypes.c_ushort, [ctypes.c_float]
    bits = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    halves = bits.view(torch.float16)
    widened = torch.tensor([host_library.widen(i) for i in range(65536)])
    torch.testing.assert_close(widened, halves.float(), rtol=0, atol=0, equal_nan=True)
    finite = halves[halves.isfinite()].float()
    values = torch.cat([finite, finite * (1 + 2**-11), finite * (1 + 3 * 2**-12), finite * 1e-4, finite * 10])
    narrowed = torch.tensor([host_library.narrow(x) for x in values.tolist()], dtype=torch.int32).to(torch.uint16)
    assert torch.equal(narrowed.view(torch.float16), values.half())


def test_vector_width():
    x = torch.zeros(1024)
    assert cupy_cuda.vector_width([x], 1024, 4) == 4
    assert cupy_cuda.vector_width([x.bfloat16(), x], 1024, 4) == 8
    assert cupy_cuda.vector_width([x], 6, 4) == 2  # what it must divide
    assert cupy_cuda.vector_width([x[1:]], 1024, 4) == 1  # 4 bytes behind an aligned address
    assert cupy_cuda.vector_width([x[2:]], 1024, 4) == 2
    assert cupy_cuda.vector_width([x.half()], 1024, 16) == 4  # registers


@pytest.mark.parametrize(
    ("n", "channels", "inner", "width"),
    [(64 * 32 * 32, 64, 1024, 4), (64 * 32 * 32, 64, 1, 4), (3 * 5, 3, 5, 1), (3 * 5, 3, 1, 1), (512 * 16, 512, 1, 8),
     (1, 1, 1, 1), (10_000_000 * 64, 64, 1, 4)],
)  # fmt: skip
def test_sums_grid_covers_every_channel_with_full_blocks(n, channels, inner, width):
    (columns, rows), (across, down) = cupy_cuda.sums_shape(n, channels, inner, width)
    assert across * down == cupy_cuda.THREADS
    assert columns * across * (width if inner == 1 else 1) >= channels
    assert rows >= 1
    assert columns * rows <= 1024 or rows == 1


def test_auto_says_why_cupy_is_not_there():
    assert cupy_cuda.unavailable(torch.device("cpu"), torch.float32) == "it runs on CUDA"
    assert "float64" in cupy_cuda.unavailable(torch.device("cuda"), torch.float64)
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "import importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'cupy' else find(name, *a)\n"
        "import torch; from iemf_snn import kernels\n"
        "print(kernels.cupy_cuda.unavailable(torch.device('cuda'), torch.float32))\n"
        "print(kernels.choose('auto', torch.device('cuda'), torch.float32).__name__)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[0].startswith("CuPy is not installed: pip install cupy-cuda1")
    assert answer.splitlines()[1] == "iemf_snn.kernels.torch_reference"
