"""Backend "numba": the fused operations on the CPU, compiled by Numba when first used (no compiler is needed).

As many threads as torch has (``torch.set_num_threads``), and the same bits with any number of them. As with torch's own
threads, a process that was forked after the first call cannot call again: start processes by "spawn".
"""

import functools
import importlib.util
import threading

import numpy as np
import torch
from torch import Tensor

from iemf_snn.functional import LIFParameters
from iemf_snn.kernels.memory import flat, inner_size, like_step

DTYPES = (torch.float32, torch.bfloat16)
EMPTY = np.empty(0, np.float32)  # stands for no tensor
ONE, ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)
_one_at_a_time = threading.Lock()  # the last resort among Numba's thread pools takes one caller


def unavailable(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this backend cannot run there; None if it can."""
    if device.type != "cpu":
        return "it runs on the CPU"
    if dtype not in DTYPES:
        return f"it computes float32 and bfloat16, not {dtype}"
    return _constant_trouble()


@torch.compiler.assume_constant_result  # torch.compile need not look inside
def _constant_trouble() -> str | None:
    return _trouble()


@functools.cache
def _trouble() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed: pip install numba"
    try:
        importlib.import_module("iemf_snn.kernels.cpu_loops")
    except Exception as error:  # a NumPy that it does not know, no folder for what it compiles, ...
        return f"Numba is installed but does not work: {error}"
    return None


def lif(x: Tensor, v: Tensor | None, keep: bool, p: LIFParameters) -> tuple[Tensor, Tensor]:
    """(spikes, u[T] if it is kept, else no elements) of x [T, ...], dense over time, and v [...] laid out alike.

    Potentials are float32.
    """
    from iemf_snn.kernels import cpu_loops

    steps, spikes, v_last = x.shape[0], torch.empty_like(x), like_step(x, keep)
    outputs = _rows(spikes, steps), _row(v_last)
    _launch(cpu_loops.forward, _rows(x, steps), ONE, ZERO, 1, _row(v), *outputs, _constants(p))
    return spikes, v_last


def lif_backward(
    grad: Tensor, grad_v: Tensor | None, x: Tensor, v: Tensor | None, p: LIFParameters
) -> tuple[Tensor, Tensor]:
    """Gradients of x, and of v if there is one, from those of the spikes and of u[T], all laid out alike."""
    from iemf_snn.kernels import cpu_loops

    steps, grad_x, grad_v_first = x.shape[0], torch.empty_like(x), like_step(x, v is not None)
    inputs = _rows(grad, steps), _rows(x, steps), _row(v), _row(grad_v)
    _launch(cpu_loops.backward, *inputs, _rows(grad_x, steps), _row(grad_v_first), _constants(p))
    return grad_x, grad_v_first


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, variance) [C] in float32 of x [N, C, H, W] in an image format; the variance divides by N·H·W."""
    from iemf_snn.kernels import cpu_loops

    mean, variance = _launch(cpu_loops.moments, _row(x), x.shape[1], inner_size(x))
    return torch.from_numpy(mean), torch.from_numpy(variance)


def norm_lif(x: Tensor, norm: tuple[Tensor, ...], spikes: Tensor, time_steps: int, p: LIFParameters) -> None:
    """Fill spikes [T·B, C, H, W] from the norm of x, from rest; x is [T·B, C, H, W], or [B, C, H, W] at every step.

    ``norm`` is (weight, bias, mean, inverse deviation), each [C] in float32.
    """
    from iemf_snn.kernels import cpu_loops

    rows = time_steps * x.shape[0] // spikes.shape[0]
    tables = *(table.numpy() for table in norm), inner_size(x)
    _launch(cpu_loops.norm_forward, _rows(x, rows), *tables, _rows(spikes, time_steps), _constants(p))


def norm_lif_backward(
    grad: Tensor, x: Tensor, norm: tuple[Tensor, ...], of_batch: bool, time_steps: int, p: LIFParameters
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias; of_batch says that mean and deviation are x's own."""
    from iemf_snn.kernels import cpu_loops

    grad_x, rows = torch.empty_like(x), time_steps * x.shape[0] // grad.shape[0]
    tables = *(table.numpy() for table in norm), of_batch, inner_size(x)
    inputs = _rows(grad, time_steps), _rows(x, rows), *tables
    grad_weight, grad_bias = _launch(cpu_loops.norm_backward, *inputs, _rows(grad_x, rows), _constants(p))
    return grad_x, torch.from_numpy(grad_weight), torch.from_numpy(grad_bias)


def _launch(loop, *arguments):
    import numba

    threads = torch.get_num_threads()
    with _one_at_a_time:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        result = loop(*arguments)
    if torch.get_num_threads() != threads:  # the first launch sets OpenMP's number of threads, which is torch's too
        torch.set_num_threads(threads)
    return result


def _rows(x: Tensor, rows: int) -> np.ndarray:
    """The memory of x as [rows, N]; bfloat16 as its bits."""
    x = flat(x.detach(), rows)
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def _row(x: Tensor | None) -> np.ndarray:
    """The memory of x as [N]; no elements for None."""
    return EMPTY if x is None else _rows(x, 1)[0]


@functools.cache
def _constants(p: LIFParameters) -> tuple:
    """The constants of Eq. 3 as the loops take them."""
    tau, inverse = np.float32(p.tau), np.float32(1) / np.float32(p.tau)
    exact = bool(np.frexp(tau)[0] == 0.5)  # a power of two
    return tau, inverse, exact, *map(np.float32, (p.v_threshold, p.v_reset)), p.decay_input, np.float32(p.alpha)
