"""LIFNode: the neuron of He et al. 2025 (Eq. 2-3) as a SpikingJelly node."""

from math import isnan

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from iemf_snn import kernels
from iemf_snn.functional import LIFParameters, as_floating, lif_forward
from iemf_snn.kernels import operators
from iemf_snn.norm import fuses, norm_lif


class LIFNode(neuron.LIFNode):
    """Leaky integrate-and-fire with hard reset and the piecewise-linear surrogate; multi-step by default.

    It is a SpikingJelly node (memories, ``functional.reset_net``, monitors, ``step_mode``, ``store_v_seq``); only the
    computation is ours, and in it the reset is always detached. The equations are in :mod:`iemf_snn.functional`. The
    potential ``v`` is kept from call to call until ``reset()``, as in any SpikingJelly node, unless the neuron is
    stateless. ``v_seq``, for monitors, carries no gradient.

    An input that is not finite is not refused. +∞ fires and is reset, as any number above θ. NaN, and -∞ from the next
    step on, make the potential NaN: the neuron is silent until ``reset()``, its gradients are NaN. The backends agree,
    except "spikingjelly", whose reset multiplies ∞ by 0: its potential is NaN after +∞ too.

    Args:
        tau: τ_m > 1, membrane time constant in steps.
        v_threshold: θ; a potential at or above it fires.
        v_reset: the potential after a spike, and before the first step.
        decay_input: True divides the input by τ_m too (the released code's node); the paper does not.
        alpha: α of the surrogate derivative max(0, α - α²·|u - θ|).
        backend: "numba" (fused, CPU), "cupy" (fused, CUDA), "torch", "spikingjelly" (the installed SpikingJelly's
            own), or "auto", the best for the device and dtype.
        step_mode: "m" maps [T, ...] to spikes [T, ...]; "s" one step [...] to [...].
        stateless: every call starts at rest and keeps nothing, which saves memory and, with a norm, time.

    Raises:
        ValueError: tau <= 1, alpha <= 0, a v_reset (soft reset is not part of Eq. 3) or v_threshold that is not a
            number, an unknown backend.
    """

    def __init__(
        self,
        tau: float = 2.0,
        v_threshold: float = 0.5,
        v_reset: float = 0.0,
        decay_input: bool = False,
        alpha: float = 2.0,
        backend: str = "auto",
        step_mode: str = "m",
        stateless: bool = False,
    ) -> None:
        if not tau > 1:
            raise ValueError(f"tau must be above 1, got {tau}")
        if v_reset is None or isnan(v_reset):
            raise ValueError("v_reset must be a number: Eq. 3 resets hard, to v_reset")
        if isnan(v_threshold) or not alpha > 0:
            raise ValueError(f"v_threshold must be a number and alpha above 0, got {v_threshold} and {alpha}")
        super().__init__(
            tau=float(tau),
            decay_input=decay_input,
            v_threshold=float(v_threshold),
            v_reset=float(v_reset),
            surrogate_function=surrogate.PiecewiseQuadratic(alpha=float(alpha)),
            detach_reset=True,
            step_mode=step_mode,
        )
        self.backend = backend
        self.stateless = stateless

    # SpikingJelly 0.0.0.0.14 knows a `backend` of its own, set while its constructor runs; 2.x knows none.
    @property
    def backend(self) -> str:
        return self._backend

    @backend.setter
    def backend(self, name: str) -> None:
        if name not in kernels.NAMES:
            raise ValueError(f"backend must be one of {kernels.NAMES}, got {name!r}")
        self._backend = name

    @property
    def supported_backends(self) -> tuple[str, ...]:
        return kernels.NAMES

    @property
    def parameters_of_equation(self) -> LIFParameters:
        """The constants of Eq. 3 as they stand now."""
        return LIFParameters(
            self.tau, self.v_threshold, self.v_reset, self.decay_input, float(self.surrogate_function.alpha)
        )

    def multi_step_forward(
        self, x: Tensor, norm: nn.BatchNorm2d | None = None, time_steps: int | None = None
    ) -> Tensor:
        """[T, ...] -> spikes [T, ...] of the same dtype, 0 or 1.

        Args:
            x: [T, ...]; with time_steps [...], the same at every step. Integers and truth values are computed, and
                their spikes returned, as float32.
            norm: applied before, over time and batch together, to x [T, B, C, H, W] (with time_steps [B, C, H, W]). In
                a stateless neuron the fused backends compute both as one operation.
            time_steps: T, for an x without it.

        Raises:
            TypeError: x is complex.
            ValueError: x has no time step.
            RuntimeError: the backend cannot run on x's device or with its dtype.
        """
        x = as_floating(x)
        if (time_steps is None and (x.ndim == 0 or len(x) == 0)) or (time_steps is not None and time_steps < 1):
            raise ValueError(f"an LIF neuron needs one time step or more, x [T, ...], got {list(x.shape)}")
        backend = kernels.choose(self._backend, x.device, x.dtype)
        if norm is not None:
            if backend in kernels.FUSED and self.stateless and not self.store_v_seq and fuses(norm):
                return norm_lif(x, norm, time_steps, self.parameters_of_equation)
            x = norm(x) if time_steps is not None else norm(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        if time_steps is not None:
            x = x.expand(time_steps, *x.shape)
        fits = torch.is_tensor(self.v) and self.v.shape == x.shape[1:]
        v = self.v if fits and not self.stateless else None
        if self.store_v_seq:
            self.v_seq = self._potentials(x, v)
        if backend in kernels.FUSED:
            spikes, v = operators.lif(x, v, not self.stateless, list(self.parameters_of_equation))
        else:
            spikes, v = backend.run(x, v, self.parameters_of_equation)
        if not self.stateless:
            self.v = v
        return spikes

    @torch.no_grad()
    def _potentials(self, x: Tensor, v: Tensor | None) -> Tensor:
        """u[t] [T, ...] after each step's reset."""
        v = torch.full_like(x[0], self.v_reset) if v is None else v
        spikes, u_pre, _ = lif_forward(x.float(), v.float(), self.parameters_of_equation)
        return u_pre.masked_fill(spikes.bool(), self.v_reset)

    def single_step_forward(self, x: Tensor) -> Tensor:
        """[...] -> spikes [...], one step from the potential the last call left."""
        return self.multi_step_forward(x.unsqueeze(0)).squeeze(0)

    def extra_repr(self) -> str:
        p = self.parameters_of_equation
        return (
            f"tau={p.tau}, v_threshold={p.v_threshold}, v_reset={p.v_reset}, decay_input={p.decay_input}, "
            f"alpha={p.alpha}, step_mode={self.step_mode}, backend={self._backend}, stateless={self.stateless}"
        )
