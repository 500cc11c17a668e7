"""Inverse effectiveness as an update rule (He et al. 2025, Eq. 11), for any PyTorch model and any method.

    W_f <- W_f - η·ξ·∇W_f        W_f: the fusion layer's own parameters, nothing else

Two ways to apply ξ, the same for plain SGD:

    gradient   ∇W_f is multiplied by ξ before the optimiser sees it
    step       the optimiser's update of W_f is multiplied by ξ. Adam divides a gradient by its own running size and
               so cancels most of any factor put on it; scaling the update is a learning rate of η·ξ for this step.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from iemf.coefficient import (
    GATES,
    IGNORED,
    Gate,
    check_gamma,
    inverse_effectiveness,
    true_class_probability,
)
from iemf.processes import sum_over_processes

SCALES = ("gradient", "step")
Reduce = Callable[[Tensor], Tensor]


class Effect(NamedTuple):
    """Of one batch, 0-dim tensors on the device: ξ, S_uni and S_av (Eq. 9-10)."""

    xi: Tensor
    unimodal: Tensor
    fused: Tensor


class InverseEffectiveness:
    """Scale the update of the fusion parameters by ξ. Call ``modulate`` between ``backward()`` and ``step()``.

    Args:
        parameters: the fusion layer's parameters, ``model.fusion.parameters()``, or the layer itself; each counts once.
        gamma: γ > 0 of Eq. 10.
        gate: κ of Eq. 10, bounded and odd.
        scale: "gradient" or "step", see above.
        optimizer: needed by "step": the optimiser that updates ``parameters``.
        reduce: sums a tensor over the processes of a distributed run, so that every replica has the same ξ. The
            default does so wherever ``torch.distributed`` runs.

    Raises:
        TypeError: something else than parameters.
        ValueError: no parameters, or frozen ones alone; a view of a parameter, whose gradient never arrives; a gamma
            that is not positive, an unknown scale, "step" without an optimiser or with one that does not update them.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        gamma: float = 1.0,
        gate: Gate = torch.tanh,
        scale: str = "gradient",
        *,
        optimizer: torch.optim.Optimizer | None = None,
        reduce: Reduce = sum_over_processes,
    ) -> None:
        self.parameters = checked_parameters(parameters)
        check_gamma(gamma)
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, got {scale!r}")
        self.gamma, self.gate, self.scale, self.reduce = gamma, gate, scale, reduce
        self.last: Tensor | None = None  # ξ that was applied last
        if scale == "step":
            if optimizer is None:
                raise ValueError('scale="step" needs optimizer=, the optimiser that updates the parameters')
            self._pending: Tensor | None = None
            self._before: list[Tensor] = []
            inner = getattr(optimizer, "optimizer", None)
            optimizer = inner if isinstance(inner, torch.optim.Optimizer) else optimizer  # Accelerate's wrapper
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            if missing := sum(id(p) not in held for p in self.parameters):
                raise ValueError(f"the optimiser does not update {missing} of the {len(self.parameters)} parameters; "
                                 f"hand in the one that does")  # fmt: skip
            for p in self.parameters:  # a new gradient: the step of the last ξ, if it is still to come, was skipped
                if p.requires_grad:
                    p.register_post_accumulate_grad_hook(self._forget)
            optimizer.register_step_pre_hook(self._remember)
            optimizer.register_step_post_hook(self._shorten)

    def modulate(self, unimodal: Sequence[Tensor], fused: Tensor, labels: Tensor) -> Tensor:
        """Compute ξ from this batch's logits and apply it to this batch's update: ``measure``, then ``apply``.

        Args:
            unimodal: logits [B, C] of each modality's head; one or more.
            fused: logits [B, C] of the fusion.
            labels: [B], integers; samples with :data:`iemf.coefficient.IGNORED` do not count.

        Returns:
            ξ, a 0-dim tensor on the device (reading it synchronises; the record of an epoch should not).
        """
        effect = self.measure(unimodal, fused, labels)
        self.apply(effect.xi)
        return effect.xi

    @torch.no_grad()
    def measure(self, unimodal: Sequence[Tensor], fused: Tensor, labels: Tensor) -> Effect:
        """ξ of this batch and the strengths it comes from; changes nothing. Arguments as of ``modulate``."""
        if not unimodal:
            raise ValueError("modulate needs the logits of at least one modality")
        logits = (*unimodal, fused)
        if len(shapes := {tuple(each.shape) for each in logits}) > 1:
            raise ValueError(f"the logits of all modalities and of the fusion need one shape, got {sorted(shapes)}")
        # All at once: one by one, their tiny operations are 2 % of a small step.
        scores = true_class_probability(torch.stack(logits), labels).sum(-1)
        sums = self.reduce(torch.cat([scores, (labels != IGNORED).sum(0, keepdim=True).to(scores.dtype)]))
        count = sums[-1].clamp(min=1)
        alone, together = sums[:-2].mean() / count, sums[-2] / count
        return Effect(inverse_effectiveness(alone, together, self.gamma, self.gate), alone, together)

    @torch.no_grad()
    def apply(self, xi: Tensor) -> None:
        """Scale the gradient now, or the optimiser's coming step."""
        self.last = xi
        if self.scale == "step":
            self._pending = xi
        else:
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            if gradients:
                torch._foreach_mul_(gradients, xi)

    def repeat(self) -> None:
        """Apply the last ξ once more; nothing where there was none."""
        if self.last is not None:
            self.apply(self.last)

    def _forget(self, _: Tensor) -> None:
        self._pending = None

    @torch.no_grad()
    def _remember(self, *_: object) -> None:
        if self._pending is not None:
            self._before = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def _shorten(self, *_: object) -> None:
        """W <- W_before + ξ·(W_after - W_before): exact for every optimiser, and ξ stays on the device."""
        if self._pending is not None:
            updates = torch._foreach_sub(self.parameters, self._before)
            torch._foreach_mul_(updates, self._pending)
            torch._foreach_copy_(self.parameters, torch._foreach_add(self._before, updates))
            self._pending, self._before = None, []

    def state_dict(self) -> dict:
        """The last ξ."""
        return {"last": self.last}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
        last = state["last"]
        self.last = None if last is None else last.to(self.parameters[0].device)


class ReleasedInverseEffectiveness(InverseEffectiveness):
    """As the code released with the paper: after ξ, Gaussian noise N(0, std(g) + 1e-8) on the fusion's gradient,
    std(g) being that of the gradient before ξ.

    Arguments as above without ``scale`` (the released code knows the gradient alone), plus ``seed`` of the noise.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], gate: Gate = torch.tanh, *, seed: int = 0) -> None:
        super().__init__(parameters, gate=gate)
        self.generator = torch.Generator(self.parameters[0].device).manual_seed(seed)

    @torch.no_grad()
    def apply(self, xi: Tensor) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        deviations = [deviation(g) for g in gradients]  # before ξ
        super().apply(xi)
        add_gradient_noise(gradients, deviations, self.generator)

    def state_dict(self) -> dict:
        return super().state_dict() | {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        super().load_state_dict(state)
        self.generator.set_state(state["generator"].cpu())


def checked_parameters(parameters: Iterable[nn.Parameter] | nn.Module) -> list[nn.Parameter]:
    """Each once, in order; raises as :class:`InverseEffectiveness` says."""
    listed = list(parameters.parameters() if isinstance(parameters, nn.Module) else parameters)
    if not listed:
        raise ValueError("InverseEffectiveness needs the fusion layer's parameters, got none")
    for p in listed:
        if not isinstance(p, Tensor):
            raise TypeError(f"need the fusion layer's parameters, model.fusion.parameters(), got a {type(p).__name__}")
        if not p.is_leaf:
            raise ValueError(f"a tensor of shape {list(p.shape)} is a view or a result, not a parameter: its gradient "
                             f"never arrives; hand in the parameter itself")  # fmt: skip
    if not any(p.requires_grad for p in listed):
        raise ValueError("all of the parameters are frozen (requires_grad is False), so there is no update to scale")
    return list({id(p): p for p in listed}.values())


def deviation(gradient: Tensor) -> Tensor:
    """Standard deviation of its elements, 0-dim; 0 where there is one, which has none."""
    return gradient.std() if gradient.numel() > 1 else gradient.new_zeros(())


def add_gradient_noise(gradients: Iterable[Tensor], deviations: Iterable[Tensor], generator: torch.Generator) -> None:
    """g <- g + N(0, deviation + 1e-8), in place, one deviation a tensor."""
    for gradient, deviation in zip(gradients, deviations, strict=True):
        noise = torch.randn(gradient.shape, generator=generator, device=gradient.device, dtype=gradient.dtype)
        gradient.addcmul_(noise, deviation + 1e-8)


def make_modulation(
    parameters: Iterable[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    *,
    gamma: float = 1.0,
    gate: str = "tanh",
    scale: str | None = None,
    released: bool = False,
    seed: int = 0,
) -> InverseEffectiveness:
    """IEMF of a run, from its options: what every task of this toolkit builds it with.

    Args:
        parameters: the fusion layer's.
        optimizer: that updates them.
        gamma: γ.
        gate: a key of :data:`iemf.coefficient.GATES`.
        scale: "gradient" or "step"; None: the gradient for SGD, the step for every other optimiser, which would cancel
            most of a factor on the gradient.
        released: as the code released with He et al. 2025, which adds noise where it scales the gradient.
        seed: of that noise.
    """
    scale = scale or ("gradient" if isinstance(optimizer, torch.optim.SGD) else "step")
    if released and scale == "gradient":
        return ReleasedInverseEffectiveness(parameters, GATES[gate], seed=seed)
    return InverseEffectiveness(parameters, gamma, GATES[gate], scale, optimizer=optimizer)
