"""The fused operations as PyTorch operators: autograd, autocast and torch.compile see one node each.

    iemf::lif(x, v)         spikes and u[T] of Eq. 3
    iemf::channel_moments   mean and variance of a batch norm
    iemf::norm_lif          batch norm and Eq. 3 in one, from rest

Each runs on :mod:`iemf_snn.kernels.numba_cpu` or :mod:`iemf_snn.kernels.cupy_cuda`, by the device of its tensors. What
is saved for the backward pass is the input alone: potentials and normalised values are computed again.

``parameters`` are the five of LIFParameters in their order, decay_input as 0 or 1: one argument, because a call costs
more the more it has.
"""

import torch
from torch import Tensor

from iemf_snn.functional import LIFParameters
from iemf_snn.kernels import cupy_cuda, numba_cpu
from iemf_snn.kernels.memory import dense_over_time, image_format, laid_out_like, like_step


def _of(x: Tensor):
    """The module that computes on x's device."""
    return cupy_cuda if x.is_cuda else numba_cpu


def _constants(parameters: list[float]) -> LIFParameters:
    tau, v_threshold, v_reset, decay_input, alpha = parameters
    return LIFParameters(tau, v_threshold, v_reset, bool(decay_input), alpha)


@torch.library.custom_op("iemf::lif", mutates_args=())
def lif(x: Tensor, v: Tensor | None, keep: bool, parameters: list[float]) -> tuple[Tensor, Tensor]:
    """(spikes [T, ...] in x's dtype, u[T] [...] in float32) of x [T, ...] and u[0] = v [...], None for v_reset.

    Unless it is to be kept, u[T] is not written; a tensor without elements stands for it.
    """
    x = dense_over_time(x)
    v = None if v is None else laid_out_like(v.float(), x[0])
    return _of(x).lif(x, v, keep, _constants(parameters))


@lif.register_fake
def _(x, v, keep, parameters):
    x = dense_over_time(x)
    return torch.empty_like(x), like_step(x, keep)


@torch.library.custom_op("iemf::lif_backward", mutates_args=())
def lif_backward(
    grad: Tensor,
    grad_v: Tensor | None,
    x: Tensor,
    v: Tensor | None,
    parameters: list[float],
) -> tuple[Tensor, Tensor]:
    """Gradients of x and, where there is one, of v from those of the spikes and of u[T]."""
    x = dense_over_time(x)
    grad = laid_out_like(grad.to(x.dtype), x)
    v, grad_v = (None if a is None else laid_out_like(a.float(), x[0]) for a in (v, grad_v))
    return _of(x).lif_backward(grad, grad_v, x, v, _constants(parameters))


@lif_backward.register_fake
def _(grad, grad_v, x, v, parameters):
    x = dense_over_time(x)
    return torch.empty_like(x), like_step(x, v is not None)


def _save_lif(ctx, inputs, output):
    x, v, ctx.keep, ctx.parameters = inputs
    ctx.save_for_backward(x, v)
    ctx.set_materialize_grads(False)


def _differentiate_lif(ctx, grad, grad_v):
    x, v = ctx.saved_tensors
    grad = torch.zeros_like(x) if grad is None else grad
    grad_x, grad_v_first = lif_backward(grad, grad_v if ctx.keep else None, x, v, ctx.parameters)
    return grad_x, None if v is None else grad_v_first.to(v.dtype), None, None


lif.register_autograd(_differentiate_lif, setup_context=_save_lif)


@torch.library.custom_op("iemf::channel_moments", mutates_args=())
def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, biased variance) [C] in float32 of x [N, C, H, W]; not differentiable, as norm_lif takes care of it."""
    x = image_format(x)
    return _of(x).channel_moments(x)


@channel_moments.register_fake
def _(x):
    return x.new_empty(x.shape[1], dtype=torch.float32), x.new_empty(x.shape[1], dtype=torch.float32)


@torch.library.custom_op("iemf::norm_lif", mutates_args=())
def norm_lif(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    inverse_deviation: Tensor,
    of_batch: bool,
    time_steps: int,
    repeated: bool,
    parameters: list[float],
) -> Tensor:
    """Spikes [T·B, C, H, W] of batch norm and LIF neurons that start at rest.

    Args:
        x: [T·B, C, H, W]; where repeated, [B, C, H, W], the same at every step.
        weight, bias: of the norm, [C], float32.
        mean, inverse_deviation: of the norm, [C], float32; the latter 1 / sqrt(variance + ε).
        of_batch: these two are x's own, so that part of the gradient flows through them.
        time_steps: T.
    """
    x = image_format(x)
    spikes = _empty_spikes(x, time_steps, repeated)
    p = _constants(parameters)
    if x.numel() > 0:
        _of(x).norm_lif(x, (weight, bias, mean, inverse_deviation), spikes, time_steps, p)
    return spikes


@norm_lif.register_fake
def _(x, weight, bias, mean, inverse_deviation, of_batch, time_steps, repeated, parameters):
    return _empty_spikes(image_format(x), time_steps, repeated)


def _empty_spikes(x: Tensor, time_steps: int, repeated: bool) -> Tensor:
    shape = (x.shape[0] * (time_steps if repeated else 1), *x.shape[1:])
    memory_format = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=memory_format)


@torch.library.custom_op("iemf::norm_lif_backward", mutates_args=())
def norm_lif_backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    inverse_deviation: Tensor,
    of_batch: bool,
    time_steps: int,
    parameters: list[float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias; the equations are in :mod:`iemf_snn.kernels.cpu_loops`."""
    x = image_format(x)
    format_of_spikes = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    grad = grad.to(x.dtype).contiguous(memory_format=format_of_spikes)
    p = _constants(parameters)
    norm = (weight, bias, mean, inverse_deviation)
    if x.numel() == 0:
        return torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
    return _of(x).norm_lif_backward(grad, x, norm, of_batch, time_steps, p)


@norm_lif_backward.register_fake
def _(grad, x, weight, bias, *rest):
    return torch.empty_like(image_format(x)), torch.empty_like(weight), torch.empty_like(bias)


def _save_norm_lif(ctx, inputs, output):
    *tensors, ctx.of_batch, ctx.time_steps, _, ctx.parameters = inputs
    ctx.save_for_backward(*tensors)


def _differentiate_norm_lif(ctx, grad):
    gradients = norm_lif_backward(grad, *ctx.saved_tensors, ctx.of_batch, ctx.time_steps, ctx.parameters)
    return *gradients, None, None, None, None, None, None


norm_lif.register_autograd(_differentiate_norm_lif, setup_context=_save_norm_lif)
