"""Batch norm with the statistics of the global batch: of all processes of a distributed run, on any device.

    μ = Σ_p n_p·μ_p / N     σ² = Σ_p n_p·(σ_p² + (μ_p - μ)²) / N     N = Σ_p n_p

Backward, with x̂ = (x - μ)/σ and sums over all processes: g_x = w/σ·(g - Σg/N - x̂·Σ(g·x̂)/N). ``nn.SyncBatchNorm`` does
the same, on GPUs alone, and hides the norm from the fused operations of iemf_snn, which know this one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iemf.processes import stack_of_processes, sum_over_processes, together


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` whose batch is that of all processes; with one process it is ``nn.BatchNorm2d`` itself.

    Arguments, parameters and buffers are those of ``nn.BatchNorm2d``, so checkpoints of either fit the other.

    Raises:
        ValueError: in training, one value a channel over all processes, which has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (together() and (self.training or self.running_mean is None)):
            return super().forward(x)
        wide = x.detach().float()
        mean, variance, count = self.of_all_processes(
            wide.mean((0, 2, 3)), wide.var((0, 2, 3), correction=0), x.numel() // x.shape[1]
        )
        self.follow(mean, variance, count)
        return _Normalise.apply(x, self.weight, self.bias, mean, variance, count, self.eps)

    def of_all_processes(self, mean: Tensor, variance: Tensor, count: int) -> tuple[Tensor, Tensor, float]:
        """(μ, σ², N) over all processes of this one's; the variances are biased.

        Args:
            mean, variance: [C], float32.
            count: values a channel.
        """
        found = stack_of_processes(torch.cat([mean, variance, mean.new_tensor([count])])).double()
        means, variances, counts = found[:, : len(mean)], found[:, len(mean) : -1], found[:, -1:]
        total = counts.sum()
        if total < 2:
            raise ValueError("a norm in training needs more than one value per channel over all processes")
        centre = (counts * means).sum(0) / total
        spread = (counts * (variances + (means - centre) ** 2)).sum(0) / total
        return centre.to(mean.dtype), spread.to(mean.dtype), total.item()

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor, count: float) -> None:
        """Move the running statistics towards those of a batch, as ``nn.BatchNorm2d`` does; not in evaluation."""
        if not self.training or not self.track_running_stats or self.running_mean is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), momentum)


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, mean, variance, count, eps):
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.count, ctx.affine = count, bias is not None
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        x, weight, mean, inverse_deviation = ctx.saved_tensors
        normalised = (x.float() - column(mean)) * column(inverse_deviation)
        own = torch.stack([(grad * normalised).sum((0, 2, 3)), grad.float().sum((0, 2, 3))])
        of_weight, of_bias = sum_over_processes(own) / ctx.count
        scale = inverse_deviation if weight is None else inverse_deviation * weight
        grad_x = column(scale) * (grad - column(of_bias) - normalised * column(of_weight))
        gradients = own if ctx.affine else (None, None)
        return grad_x.to(x.dtype), *gradients, None, None, None, None


def column(values: Tensor) -> Tensor:
    """[C] as [1, C, 1, 1]."""
    return values.view(1, -1, 1, 1)


def with_global_norms(module: nn.Module) -> nn.Module:
    """``module`` with a :class:`GlobalBatchNorm2d` in place of every ``nn.BatchNorm2d``, parameters and buffers shared.

    Example:
        >>> type(with_global_norms(nn.Sequential(nn.BatchNorm2d(3)))[0]).__name__
        'GlobalBatchNorm2d'

    Raises:
        ValueError: it holds a batch norm of another kind, whose statistics would go on being each process's own.
    """
    if type(module) is nn.BatchNorm2d:
        return _converted(module)
    if isinstance(module, _BatchNorm) and not isinstance(module, GlobalBatchNorm2d | nn.SyncBatchNorm):
        kind = f"{type(module).__module__}.{type(module).__name__}"
        raise ValueError(f"{kind} cannot take statistics of the global batch; use nn.BatchNorm2d, or leave its "
                         f"statistics to each process")  # fmt: skip
    for name, child in list(module.named_children()):
        if (changed := with_global_norms(child)) is not child:
            module.add_module(name, changed)
    return module


def _converted(norm: nn.BatchNorm2d) -> GlobalBatchNorm2d:
    made = GlobalBatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats,
                             device="meta")  # fmt: skip
    made._parameters.update(norm._parameters)
    made._buffers.update(norm._buffers)
    return made.train(norm.training)
