"""Batch norm and LIF as one operation: the statistics of torch's BatchNorm2d, or of the global batch, the rest in one
operator."""

import torch
from torch import Tensor, nn
from torch.nn.modules import module

from iemf.global_norm import GlobalBatchNorm2d, column
from iemf.processes import sum_over_processes, together
from iemf_snn.functional import LIFParameters
from iemf_snn.kernels import operators

KINDS = (nn.BatchNorm2d, GlobalBatchNorm2d)
HOOKS_ON_ALL = (
    module._global_forward_hooks,
    module._global_forward_pre_hooks,
    module._global_backward_hooks,
    module._global_backward_pre_hooks,
)


def fuses(norm: nn.Module) -> bool:
    """Whether :func:`norm_lif` does what the norm would: one of KINDS, affine, in float32, that nobody listens to."""
    hooks = norm._forward_hooks, norm._forward_pre_hooks, norm._backward_hooks, norm._backward_pre_hooks
    if type(norm) not in KINDS or not norm.affine or any(hooks) or any(HOOKS_ON_ALL):
        return False
    tensors = norm.weight, norm.bias, norm.running_mean, norm.running_var
    return all(t is None or t.dtype == torch.float32 for t in tensors)


def norm_lif(x: Tensor, norm: nn.BatchNorm2d, time_steps: int | None, p: LIFParameters) -> Tensor:
    """Spikes [T, B, C, H, W] of neurons at rest that see norm(x); its running statistics move as its own call would.

    Args:
        x: [T, B, C, H, W]; [B, C, H, W] if time_steps is given, the same at every step.
        norm: normalises over T, B, H and W.
        time_steps: T, or None if x has it.
        p: constants of Eq. 3.

    Raises:
        ValueError: x has other dimensions or channels; training with one value per channel, which has no variance.
    """
    repeated = time_steps is not None
    if x.dim() != (4 if repeated else 5) or x.shape[-3] != norm.num_features:
        form = "[B, C, H, W]" if repeated else "[T, B, C, H, W]"
        raise ValueError(f"a norm of {norm.num_features} channels expects {form}, got {tuple(x.shape)}")
    folded = x if repeated else x.flatten(0, 1)
    steps = time_steps if repeated else x.shape[0]
    shared = type(norm) is GlobalBatchNorm2d and together() and (norm.training or norm.running_mean is None)
    mean, variance, of_batch = _statistics_of_all(norm, folded) if shared else _statistics(norm, folded)
    inverse_deviation = torch.rsqrt(variance + norm.eps)
    operation = _GlobalNormLIF.apply if shared else operators.norm_lif
    spikes = operation(folded, norm.weight, norm.bias, mean, inverse_deviation, of_batch, steps, repeated, list(p))
    return spikes.unflatten(0, (steps, x.shape[-4]))


def _statistics(norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor, bool]:
    """(mean, variance, whether they are x's own), and the running ones updated in training."""
    if not norm.training and norm.running_mean is not None:
        return norm.running_mean.clone(), norm.running_var, False  # training may move it before the backward pass
    n = x.numel() // x.shape[1]
    if n < 2:
        raise ValueError(f"a norm in training needs more than one value per channel, got input {tuple(x.shape)}")
    mean, variance = operators.channel_moments(x.detach())
    if norm.training and norm.track_running_stats and norm.running_mean is not None:
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
        with torch.no_grad():
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * (n / (n - 1)), momentum)
    return mean, variance, True


def _statistics_of_all(norm: GlobalBatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor, float]:
    """(mean, variance, values a channel) of the global batch, and the running ones updated in training."""
    mean, variance, count = norm.of_all_processes(*operators.channel_moments(x.detach()), x.numel() // x.shape[1])
    norm.follow(mean, variance, count)
    return mean, variance, count


class _GlobalNormLIF(torch.autograd.Function):
    """As ``operators.norm_lif``, of statistics that are those of ``count`` values of all processes. Its own backward
    takes them for constants; what they add to the gradient of x has sums over all processes in it, and comes on top."""

    @staticmethod
    def forward(ctx, x, weight, bias, mean, inverse_deviation, count, steps, repeated, parameters):
        ctx.save_for_backward(x, weight, bias, mean, inverse_deviation)
        ctx.count, ctx.steps, ctx.parameters = count, steps, parameters
        return operators.norm_lif(x, weight, bias, mean, inverse_deviation, False, steps, repeated, parameters)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight, bias, mean, inverse_deviation = ctx.saved_tensors
        grad_x, *own = operators.norm_lif_backward(
            grad, x, weight, bias, mean, inverse_deviation, False, ctx.steps, ctx.parameters
        )
        of_weight, of_bias = sum_over_processes(torch.stack(own)) / ctx.count
        scale, slope = weight * inverse_deviation, of_weight * inverse_deviation
        through = column(scale * (of_bias - slope * mean)) + column(scale * slope) * x
        return grad_x - through.to(x.dtype), *own, *[None] * 6
