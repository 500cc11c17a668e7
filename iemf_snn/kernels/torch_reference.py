"""Backend "torch": the equations of :mod:`iemf_snn.functional` under autograd, on any device and dtype."""

import torch
from torch import Tensor

from iemf_snn.functional import LIFParameters, lif_backward, lif_forward


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, v: Tensor, parameters: LIFParameters) -> tuple[Tensor, Tensor]:
        spikes, u_pre, v = lif_forward(x, v, parameters)
        ctx.save_for_backward(u_pre)
        ctx.parameters = parameters
        ctx.set_materialize_grads(False)
        return spikes, v

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_spikes: Tensor | None, grad_v: Tensor | None):
        (u_pre,) = ctx.saved_tensors
        if grad_spikes is None:
            grad_spikes = torch.zeros_like(u_pre)
        grad_x, grad_v = lif_backward(grad_spikes, grad_v, u_pre, ctx.parameters)
        return grad_x, grad_v, None


def unavailable(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this backend cannot run there; None, it always can."""
    return None


def run(x: Tensor, v: Tensor | None, parameters: LIFParameters) -> tuple[Tensor, Tensor]:
    """(spikes [T, ...], u[T] [...]) from x [T, ...] and u[0] [...], None for rest. Half precision is integrated in
    float32."""
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    if v is None:
        v = torch.full_like(wide[0], parameters.v_reset, requires_grad=False)
    spikes, v = _LIF.apply(wide, v.to(wide.dtype), parameters)
    return spikes.to(x.dtype), v
