"""Inverse effectiveness as an update rule (He et al. 2025, Eq. 11), for any PyTorch model and any method.

    W_f <- W_f - η·ξ·∇W_f        W_f: the fusion layer's own parameters, nothing else

ξ multiplies the gradient or the optimiser's update: :mod:`iemf.scaling`.
"""

import warnings
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from iemf.coefficient import (
    IGNORED,
    Gate,
    check_gamma,
    inverse_effectiveness,
    true_class_probability,
)
from iemf.processes import sum_over_processes
from iemf.scaling import Scaling

Reduce = Callable[[Tensor], Tensor]


class Effect(NamedTuple):
    """Of one batch, 0-dim tensors on the device: ξ, S_uni and S_av (Eq. 9-10)."""

    xi: Tensor
    unimodal: Tensor
    fused: Tensor


class InverseEffectiveness:
    """Scale the update of the fusion parameters by ξ. Call ``modulate`` between ``backward()`` and ``step()``.

    Where the gradient accumulates over micro-batches, call ``collect`` with each of them but the last and ``modulate``
    with the last: there is one ξ, from S_uni and S_av over the samples of all of them, and it multiplies the whole
    gradient once, as it would that of one large batch. Processes speak to each other in ``modulate`` alone, so
    ``collect`` may run under ``no_sync``.

    Args:
        parameters: the fusion layer's parameters, ``model.fusion.parameters()``, or the layer itself; each counts once.
        gamma: γ > 0 of Eq. 10.
        gate: κ of Eq. 10, bounded and odd.
        scale: "gradient" or "step", see :mod:`iemf.scaling`.
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
        self.gamma, self.gate, self.scale, self.reduce = gamma, gate, scale, reduce
        self.scaling = Scaling(self.parameters, scale, optimizer)
        self.last: Tensor | None = None  # ξ that was applied last
        self._collected: Tensor | None = None  # sums over the micro-batches before this one
        self._seen: tuple[weakref.ref | None, int] = None, 0  # the gradient behind the last ξ, and the weights' version

    def modulate(self, unimodal: Sequence[Tensor], fused: Tensor, labels: Tensor) -> Tensor:
        """Compute ξ from this batch's logits and apply it to this batch's update: ``measure``, then ``apply``.

        Args:
            unimodal: logits [B, C] of each modality's head; one or more.
            fused: logits [B, C] of the fusion.
            labels: [B], integers; samples with :data:`iemf.coefficient.IGNORED` do not count.

        Returns:
            ξ that was applied, a 0-dim tensor on the device (reading it synchronises; an epoch's record should not).
        """
        self.apply(self.measure(unimodal, fused, labels).xi)
        return self.last

    def collect(self, unimodal: Sequence[Tensor], fused: Tensor, labels: Tensor) -> None:
        """Count the samples of a micro-batch in the ξ of the next ``modulate``; changes no gradient.

        Arguments as of ``modulate``; every micro-batch has the same modalities.
        """
        self._collected = self._sums(unimodal, fused, labels)

    @torch.no_grad()
    def measure(self, unimodal: Sequence[Tensor], fused: Tensor, labels: Tensor) -> Effect:
        """ξ of this batch (and of what ``collect`` was told of) and the strengths it comes from; changes nothing.

        Arguments as of ``modulate``.
        """
        sums = self.reduce(self._sums(unimodal, fused, labels))
        count = sums[-1].clamp(min=1)
        alone, together = sums[:-2].mean() / count, sums[-2] / count
        return Effect(self.coefficient(alone, together), alone, together)

    def coefficient(self, unimodal: Tensor, fused: Tensor) -> Tensor:
        """ξ of S_uni and S_av, tensors of any one shape, with this γ and κ."""
        return inverse_effectiveness(unimodal, fused, self.gamma, self.gate)

    @torch.no_grad()
    def _sums(self, unimodal: Sequence[Tensor], fused: Tensor, labels: Tensor) -> Tensor:
        """Probabilities of the true class, summed, a modality each and the fusion's, then how many samples count."""
        if not unimodal:
            raise ValueError("modulate needs the logits of at least one modality")
        logits = (*unimodal, fused)
        if len(shapes := {tuple(each.shape) for each in logits}) > 1:
            raise ValueError(f"the logits of all modalities and of the fusion need one shape, got {sorted(shapes)}")
        # All at once: one by one, their tiny operations are 2 % of a small step.
        scores = true_class_probability(torch.stack(logits), labels).sum(-1)
        sums = torch.cat([scores, (labels != IGNORED).sum(0, keepdim=True).to(scores.dtype)])
        if self._collected is None:
            return sums
        if len(sums) != len(self._collected):
            raise ValueError(
                f"{len(sums) - 2} modalities in this micro-batch, {len(self._collected) - 2} in those before"
            )
        return sums + self._collected

    @torch.no_grad()
    def apply(self, xi: Tensor) -> None:
        """Scale the gradient now, or the optimiser's coming step."""
        self._see_one_gradient_once()
        self.last, self._collected = xi, None
        self.scaling.apply(xi)

    def _see_one_gradient_once(self) -> None:
        """Warn where ξ is applied again to a gradient that has grown, and no step was taken in between."""
        parameter = next((p for p in self.parameters if p.grad is not None), None)
        if parameter is None:
            return
        gradient, version = self._seen
        if gradient is not None and gradient() is parameter.grad and version == parameter._version:
            warnings.warn("modulate was called twice for one step, so ξ acts twice on the first gradient: for "
                          "micro-batches call collect with all but the last", stacklevel=4)  # fmt: skip
        self._seen = weakref.ref(parameter.grad), parameter._version

    def repeat(self) -> None:
        """Apply the last ξ once more; nothing where there was none."""
        if self.last is not None:
            self.apply(self.last)

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

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        gate: Gate = torch.tanh,
        *,
        seed: int = 0,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__(parameters, gate=gate, optimizer=optimizer)
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
