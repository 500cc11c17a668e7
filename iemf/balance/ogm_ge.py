"""OGM-GE (Peng et al. 2022): slow down the modality that is ahead, and add noise to generalise.

    s_m = Σ_i softmax(out_m)[y_i],  out_m = W_m z_m + b/M         what the fusion owes to modality m of M
    ρ_m = s_m / mean of the others' s                             ρ_v = s_v / s_a, ρ_a = s_a / s_v where M = 2
    k_m = 1 - tanh(α·ρ_m)  if ρ_m > 1  else  1                    α = 0.8
    g  <- k_m·g + N(0, std(g) + 1e-8)                             encoder convolutions (4-D weights), epochs 0-50 of 100

Scores are summed over the global batch; the noise is the same on every replica. With an adaptive optimiser k_m is on
the update (:mod:`iemf.scaling`), noise included, and not on the gradient, where it would be lost.

An encoder without convolutions, as those that read features, has its weight matrices scaled instead. The convolutions
are there what transforms features, beside biases and norms, which Peng et al. leave alone; matrices are that here.
"""

import torch
from torch import Tensor, nn

from iemf.balance.base import Fusing, Method, Readable, register
from iemf.coefficient import true_class_probability
from iemf.modulation import add_gradient_noise, deviation
from iemf.processes import sum_over_processes

ALPHA = 0.8
LAST_EPOCH = 50


def discrepancy_ratios(*scores: Tensor) -> tuple[Tensor, ...]:
    """ρ of each modality from the scores s (0-dim, >= 0, two or more)."""
    if len(scores) == 2:  # one division, whose inverse is the other ratio
        second = scores[1] / scores[0]
        return 1 / second, second
    total = sum(scores)
    return tuple(score / ((total - score) / (len(scores) - 1)) for score in scores)


def discrepancy_coefficients(*scores: Tensor, alpha: float = ALPHA) -> tuple[Tensor, ...]:
    """k of each modality from the scores s (0-dim, >= 0, two or more); of two modalities at most one is below 1.

    >>> [round(k.item(), 3) for k in discrepancy_coefficients(*torch.tensor([3.0, 2.0, 1.0]))]  # ρ = 2, 1, 0.4
    [0.078, 1.0, 1.0]
    """

    def coefficient(ratio: Tensor) -> Tensor:
        return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))

    return tuple(map(coefficient, discrepancy_ratios(*scores)))


def scaled_weights(encoder: nn.Module) -> list[nn.Parameter]:
    """Of convolutions, or where there are none, all of two or more dimensions."""
    parameters = list(encoder.parameters())
    return [p for p in parameters if p.ndim == 4] or [p for p in parameters if p.ndim >= 2]


@register("ogm-ge", "OGM-GE")
class OGMGE(Method):
    """On-the-fly gradient modulation with generalisation enhancement; needs a fusion whose logits split."""

    has_factors = has_schedule = needs_split = True
    slows = noisy = True
    constant = ALPHA

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        # The same noise on every replica, or they would drift apart: a generator of its own, seeded alike.
        self.generator = torch.Generator(next(network.fusion.parameters()).device).manual_seed(seed)

    def parameters_by_modality(self) -> dict[str, list[nn.Parameter]]:
        """Weights of each encoder."""
        return {modality: scaled_weights(encoder) for modality, encoder in self.network.encoders.items()}

    @torch.no_grad()
    def on_gradients(self, output: Readable, labels: Tensor, epoch: int) -> None:
        if self.at(epoch) > LAST_EPOCH:
            return
        scalings = self.scalings.values()
        # Nothing of a frozen encoder.
        gradients = [p.grad for scaling in scalings for p in scaling.parameters if p.grad is not None]
        deviations = [deviation(g) for g in gradients] if self.noisy else []  # of gradients not yet slowed
        if self.slows:
            for scaling, coefficient in zip(scalings, self.coefficients(output, labels), strict=True):
                scaling.apply(coefficient)
        if self.noisy:
            add_gradient_noise(gradients, deviations, self.generator)

    def coefficients(self, output: Readable, labels: Tensor) -> tuple[Tensor, ...]:
        """k of each modality, of the global batch."""
        parts = self.network.contributions({modality: z.float() for modality, z in output.features.items()})
        scores = torch.stack([true_class_probability(parts[m], labels).sum() for m in self.network.encoders])
        return discrepancy_coefficients(*sum_over_processes(scores), alpha=self.constant)

    def state_dict(self) -> dict:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        self.generator.set_state(state["generator"].cpu())
