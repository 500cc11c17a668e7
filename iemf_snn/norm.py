"""Batch norm and LIF as one operation: the statistics of torch's BatchNorm2d, the rest in one operator."""

import torch
from torch import Tensor, nn
from torch.nn.modules import module

from iemf_snn.functional import LIFParameters
from iemf_snn.kernels import operators

HOOKS_ON_ALL = (
    module._global_forward_hooks,
    module._global_forward_pre_hooks,
    module._global_backward_hooks,
    module._global_backward_pre_hooks,
)


def fuses(norm: nn.Module) -> bool:
    """Whether :func:`norm_lif` does what the norm would: a plain affine float32 BatchNorm2d that nobody listens to."""
    hooks = norm._forward_hooks, norm._forward_pre_hooks, norm._backward_hooks, norm._backward_pre_hooks
    if type(norm) is not nn.BatchNorm2d or not norm.affine or any(hooks) or any(HOOKS_ON_ALL):
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
    mean, variance, of_batch = _statistics(norm, folded)
    steps = time_steps if repeated else x.shape[0]
    inverse_deviation = torch.rsqrt(variance + norm.eps)
    spikes = operators.norm_lif(
        folded, norm.weight, norm.bias, mean, inverse_deviation, of_batch, steps, repeated, list(p)
    )  # fmt: skip
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
