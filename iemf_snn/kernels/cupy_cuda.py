"""Backend "cupy": the fused operations on CUDA, compiled from lif.cu by CuPy for T, dtype and vector width.

Kernels run on PyTorch's current stream, allocate through PyTorch and never wait for the device, so a CUDA graph can
capture them once they are compiled, that is after one call. What each function computes is said in
:mod:`iemf_snn.kernels.numba_cpu`.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iemf_snn.functional import LIFParameters
from iemf_snn.kernels.memory import inner_size, like_step

SOURCE = Path(__file__).with_name("lif.cu")
OPTIONS = ("--std=c++17", "--fmad=false")  # contraction would round potentials otherwise than the reference does
SCALARS = {torch.float32: "float", torch.float16: "Half", torch.bfloat16: "BFloat16"}
THREADS = 256  # as in lif.cu
LOAD = 16  # bytes, the widest load of a thread
REGISTERS = 64  # potentials a thread may hold: T times its elements


def unavailable(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this backend cannot run there; None if it can."""
    if device.type != "cuda":
        return "it runs on CUDA"
    if dtype not in SCALARS:
        return f"it computes float32, float16 and bfloat16, not {dtype}"
    return _constant_cupy_trouble()


@torch.compiler.assume_constant_result  # torch.compile need not look inside
def _constant_cupy_trouble() -> str | None:
    return _cupy_trouble()


@functools.cache
def _cupy_trouble() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        major = (torch.version.cuda or "13").split(".")[0]
        return f"CuPy is not installed: pip install cupy-cuda{major}x"
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises what its CUDA libraries raise
        return f"CuPy is installed but does not work: {error}"
    return None


def lif(x: Tensor, v: Tensor | None, keep: bool, p: LIFParameters) -> tuple[Tensor, Tensor]:
    spikes, v_last = torch.empty_like(x), like_step(x, keep)
    n = x[0].numel()
    arguments = (x, v, spikes, v_last if keep else None, np.uint32(n))
    _elementwise("lif_forward", arguments, x.shape[0], n, n, p)
    return spikes, v_last


def lif_backward(
    grad: Tensor, grad_v: Tensor | None, x: Tensor, v: Tensor | None, p: LIFParameters
) -> tuple[Tensor, Tensor]:
    grad_x, grad_v_first = torch.empty_like(x), like_step(x, v is not None)
    n = x[0].numel()
    arguments = (grad, grad_v, x, v, grad_x, None if v is None else grad_v_first, np.uint32(n))
    _elementwise("lif_backward", arguments, x.shape[0], n, n, p)
    return grad_x, grad_v_first


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean, inverse_deviation = torch.batch_norm_stats(x, 0.0)
    return mean, variance_of(inverse_deviation)


def variance_of(inverse_deviation: Tensor) -> Tensor:
    """batch_norm_stats with ε = 0 gives 0, not infinity, for a constant channel."""
    return torch.where(inverse_deviation == 0, 0.0, inverse_deviation.square().reciprocal())


def norm_lif(x: Tensor, norm: tuple[Tensor, ...], spikes: Tensor, time_steps: int, p: LIFParameters) -> None:
    layout = _Layout(x, spikes, time_steps)
    arguments = (x, layout.x_step, *affine(*norm), spikes, *layout.arguments)
    _elementwise("norm_lif_forward", arguments, time_steps, layout.n, layout.run, p)


def norm_lif_backward(
    grad: Tensor, x: Tensor, norm: tuple[Tensor, ...], of_batch: bool, time_steps: int, p: LIFParameters
) -> tuple[Tensor, Tensor, Tensor]:
    layout, (_, _, mean, inverse_deviation) = _Layout(x, grad, time_steps), norm
    scale, shift = affine(*norm)
    width = vector_width([x, grad], layout.run, time_steps)
    grid, block = sums_shape(layout.n, layout.channels, layout.inner, width)
    partial = torch.empty(grid[1], 2, layout.channels, device=x.device, dtype=torch.float32)
    arguments = (grad, x, layout.x_step, scale, shift, mean, partial, *layout.arguments)
    _launch("norm_lif_sums", grid, block, x, time_steps, width, arguments, p)
    sums = partial.sum(0)
    slope, offset = torch.zeros_like(scale), torch.zeros_like(scale)
    if of_batch:
        of_mean = -scale / (x.numel() // layout.channels)
        slope, offset = of_mean * inverse_deviation.square() * sums[1], of_mean * sums[0]
    grad_x = torch.empty_like(x)
    arguments = (grad, x, layout.x_step, scale, shift, mean, slope, offset, grad_x, *layout.arguments)
    _elementwise("norm_lif_backward", arguments, time_steps, layout.n, layout.run, p)
    return grad_x, inverse_deviation * sums[1], sums[0].clone()


def affine(weight: Tensor, bias: Tensor, mean: Tensor, inverse_deviation: Tensor) -> tuple[Tensor, Tensor]:
    """(scale, shift) of the norm."""
    scale = weight * inverse_deviation
    return scale, bias - mean * scale


class _Layout:
    """Where the channels of images [N, C, H, W] lie: n elements a step; a run of them shares or follows a channel."""

    def __init__(self, x: Tensor, over_time: Tensor, time_steps: int) -> None:
        self.n = over_time.numel() // time_steps
        self.x_step = np.uint32(0 if x.numel() < over_time.numel() else self.n)
        self.channels, self.inner = x.shape[1], inner_size(x)
        self.run = self.inner if self.inner > 1 else self.channels
        self.arguments = tuple(map(np.uint32, (self.n, self.channels, self.inner)))


def vector_width(tensors: list[Tensor], run: int, time_steps: int) -> int:
    """Elements a thread takes at once: the most that fit a load, divide ``run`` and are aligned in every tensor."""
    width = LOAD // tensors[0].element_size()
    while width > 1 and (
        run % width or width * time_steps > REGISTERS or any(t.data_ptr() % (width * t.element_size()) for t in tensors)
    ):
        width //= 2
    return width


def sums_shape(n: int, channels: int, inner: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """((blocks over channels, blocks over the rest), threads of a block in the same two) for norm_lif_sums."""
    columns = channels // width if inner == 1 else channels
    rows = n // channels // (1 if inner == 1 else width)
    across = 1
    while inner == 1 and across < min(columns, 32):
        across *= 2
    down = THREADS // across
    blocks = -(-columns // across)
    return (blocks, max(1, min(-(-rows // (4 * down)), 1024 // blocks))), (across, down)


def _elementwise(name: str, arguments: tuple, time_steps: int, n: int, run: int, p: LIFParameters) -> None:
    """Launch with a thread for every vector of the n elements of a step."""
    vectors = [a for a in arguments if isinstance(a, Tensor) and a.numel() >= n]  # the others are tables
    width = vector_width(vectors, run, time_steps)
    _launch(name, (-(-n // (width * THREADS)), 1), (THREADS, 1), vectors[0], time_steps, width, arguments, p)


def _launch(name, grid, block, like: Tensor, time_steps: int, width: int, arguments: tuple, p: LIFParameters) -> None:
    """Run a kernel of lif.cu for like's dtype, on its device."""
    if like.numel() == 0:
        return
    if like.numel() // time_steps >= 2**31:
        raise RuntimeError(f"{name}: {tuple(like.shape)} is too large for one call; use smaller batches")
    strangers = {a.device for a in arguments if isinstance(a, Tensor)} - {like.device}
    if strangers:
        raise RuntimeError(f"{name}: expected all tensors on {like.device}, got one on {strangers.pop()}")
    values = [a.data_ptr() if isinstance(a, Tensor) else 0 if a is None else a for a in arguments]
    expression = f"{name}<{SCALARS[like.dtype]}, {time_steps}, {width}>"
    _run(expression, grid, block, [*values, *constants(p)], like.device)


def _run(expression: str, grid: tuple, block: tuple, arguments: list, device: torch.device) -> None:
    """On PyTorch's current stream of the device. Arguments are NumPy scalars, or ints for addresses."""
    import cupy

    stream = torch.cuda.current_stream(device).cuda_stream
    with cupy.cuda.Device(device.index), cupy.cuda.ExternalStream(stream, device.index):
        _kernel(expression, device.index)(grid, block, arguments)


@functools.cache
def _kernel(expression: str, device: int):
    """The compiled kernel, which takes NVRTC a moment once a process. ``device`` is the current one."""
    import cupy

    module = cupy.RawModule(code=SOURCE.read_text(encoding="utf-8"), options=OPTIONS, name_expressions=[expression])
    return module.get_function(expression)


def constants(p: LIFParameters) -> tuple:
    """The constants of Eq. 3 as the kernels take them."""
    tau, threshold, v_reset, alpha = map(np.float32, (p.tau, p.v_threshold, p.v_reset, p.alpha))
    exact = np.frexp(tau)[0] == 0.5  # a power of two
    return tau, np.float32(1) / tau, threshold, v_reset, alpha, np.int32(exact), np.int32(p.decay_input)
