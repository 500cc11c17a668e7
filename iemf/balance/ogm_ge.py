"""OGM-GE (Peng et al. 2022): slow down the modality that is ahead, and add noise to generalise.

    s_m = Σ_i softmax(out_m)[y_i],  out_m = W_m z_m + b/2         what the fusion owes to modality m
    ρ_v = s_v / s_a,  ρ_a = s_a / s_v
    k_m = 1 - tanh(α·ρ_m)  if ρ_m > 1  else  1                    α = 0.8
    g  <- k_m·g + N(0, std(g) + 1e-8)                             encoder convolutions (4-D weights), epochs 0-50 of 100

Scores are summed over the global batch; the noise is the same on every replica. With an adaptive optimiser k_m is on
the update (:mod:`iemf.scaling`), noise included, and not on the gradient, where it would be lost.
"""

import torch
from torch import Tensor, nn

from iemf.balance.base import Method, register
from iemf.coefficient import true_class_probability
from iemf.errors import UserError
from iemf.modulation import add_gradient_noise, deviation
from iemf.network import AudioVisualNetwork, Output
from iemf.processes import sum_over_processes

ALPHA = 0.8
LAST_EPOCH = 50


def discrepancy_coefficients(audio: Tensor, visual: Tensor, alpha: float = ALPHA) -> tuple[Tensor, Tensor]:
    """(k_a, k_v) from the scores s_a, s_v (0-dim, >= 0); at most one of them is below 1."""
    ratio_visual = visual / audio

    def coefficient(ratio: Tensor) -> Tensor:
        return torch.where(ratio > 1, 1 - torch.tanh(alpha * ratio), torch.ones_like(ratio))

    return coefficient(1 / ratio_visual), coefficient(ratio_visual)


@register("ogm-ge", "OGM-GE")
class OGMGE(Method):
    """On-the-fly gradient modulation with generalisation enhancement; needs a fusion whose logits split."""

    has_factors = True
    has_schedule = True
    slows, noisy = True, True

    def __init__(self, network: AudioVisualNetwork, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        if not hasattr(network.fusion, "contributions"):
            raise UserError(
                f"ogm-ge needs a fusion whose logits split by modality (concat or sum), "
                f"got {type(network.fusion).__name__}; choose `fusion` concat"
            )
        # The same noise on every replica, or they would drift apart: a generator of its own, seeded alike.
        self.generator = torch.Generator(next(network.parameters()).device).manual_seed(seed)

    def parameters_by_modality(self) -> dict[str, list[nn.Parameter]]:
        """Convolutions of each encoder."""
        return {m: [p for p in encoder.parameters() if p.ndim == 4] for m, encoder in self.network.encoders.items()}

    @torch.no_grad()
    def on_gradients(self, output: Output, labels: Tensor, epoch: int) -> None:
        if self.at(epoch) > LAST_EPOCH:
            return
        scalings = self.scalings.values()
        # Nothing of a frozen encoder, or of one without convolutions.
        gradients = [p.grad for scaling in scalings for p in scaling.parameters if p.grad is not None]
        deviations = [deviation(g) for g in gradients] if self.noisy else []  # of gradients not yet slowed
        if self.slows:
            for scaling, coefficient in zip(scalings, self.coefficients(output, labels), strict=True):
                scaling.apply(coefficient)
        if self.noisy:
            add_gradient_noise(gradients, deviations, self.generator)

    def coefficients(self, output: Output, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(k_a, k_v) of the global batch."""
        parts = self.network.fusion.contributions(*(z.float() for z in output.features.values()))
        scores = torch.stack([true_class_probability(part, labels).sum() for part in parts])
        return discrepancy_coefficients(*sum_over_processes(scores))

    def state_dict(self) -> dict:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        self.generator.set_state(state["generator"].cpu())
