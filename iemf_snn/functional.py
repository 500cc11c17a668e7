"""The leaky integrate-and-fire neuron over T steps (He et al. 2025, Eq. 2-3), as pure functions.

    u_pre[t] = u[t-1] + (v_reset - u[t-1]) / τ_m + I[t]     (decay_input: (v_reset - u[t-1] + I[t]) / τ_m)
    s[t]     = H(u_pre[t] - θ),  H(0) = 1
    u[t]     = u_pre[t]·(1 - s[t]) + v_reset·s[t]

With τ_m = 2 and v_reset = 0 this is Eq. 3, u_pre = 0.5·u + I. Backward, reset detached, t from T down to 1:

    g_u[t] = g_s[t]·max(0, α - α²·|u_pre[t] - θ|) + (1 - s[t])·c[t],   c[T] = gradient of u[T]
    g_I[t] = g_u[t],   c[t-1] = (1 - 1/τ_m)·g_u[t]                     (decay_input: g_I[t] = g_u[t] / τ_m)

The surrogate derivative is the piecewise-linear triangle of Bellec et al. 2018.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class LIFParameters(NamedTuple):
    """Constants of Eq. 3; potentials in the input's unit, time in steps."""

    tau: float = 2.0
    v_threshold: float = 0.5
    v_reset: float = 0.0
    decay_input: bool = False
    alpha: float = 2.0


def as_floating(x: Tensor) -> Tensor:
    """x itself if its dtype is one of floating-point numbers; integers and truth values as float32.

    Raises:
        TypeError: x is complex.
    """
    if x.is_complex():
        raise TypeError(f"an LIF neuron integrates real numbers, not {x.dtype}")
    return x if x.is_floating_point() else x.float()


def charge(x: Tensor, v: Tensor, p: LIFParameters) -> Tensor:
    """u_pre of one step. The order of operations is SpikingJelly's, so that spikes agree bit for bit."""
    if p.decay_input:
        return v + (x - (v - p.v_reset)) / p.tau
    return v - (v - p.v_reset) / p.tau + x


def surrogate_derivative(u_pre: Tensor, p: LIFParameters) -> Tensor:
    """ds/du = max(0, α - α²·|u_pre - θ|)."""
    return (u_pre - p.v_threshold).abs_().mul_(-(p.alpha**2)).add_(p.alpha).clamp_min_(0)


def lif_forward(x: Tensor, v: Tensor, p: LIFParameters) -> tuple[Tensor, Tensor, Tensor]:
    """T steps from x [T, ...] and v = u[0] [...] to (spikes [T, ...], u_pre [T, ...], u[T] [...]).

    All three have x's dtype, float32 for integers and truth values; a complex x is a TypeError.
    """
    x = as_floating(x)  # a potential is no integer
    potentials = torch.empty_like(x)
    reset = torch.full((), p.v_reset, dtype=x.dtype, device=x.device)
    for t in range(x.shape[0]):
        potentials[t] = charge(x[t], v, p)
        v = torch.where(potentials[t] >= p.v_threshold, reset, potentials[t])
    return (potentials >= p.v_threshold).to(x.dtype), potentials, v


def lif_backward(grad_spikes: Tensor, grad_v: Tensor | None, u_pre: Tensor, p: LIFParameters) -> tuple[Tensor, Tensor]:
    """Gradients (of x [T, ...], of v = u[0] [...]) from those of the spikes [T, ...] and of u[T] [...]."""
    grad_u = surrogate_derivative(u_pre, p).mul_(grad_spikes)
    held = (u_pre < p.v_threshold).to(u_pre.dtype)  # 1 - s, where the potential survives the step
    leak = 1 - 1 / p.tau
    if grad_v is not None:
        grad_u[-1].addcmul_(held[-1], grad_v)
    for t in range(u_pre.shape[0] - 2, -1, -1):
        grad_u[t].addcmul_(held[t], grad_u[t + 1], value=leak)
    grad_initial = grad_u[0] * leak
    return grad_u.div_(p.tau) if p.decay_input else grad_u, grad_initial
