"""Separated softmax, SS-IL (Ahn et al. 2021): exemplars, and no competition of old with new classes.

L = sum over old tasks of T^2 KL(old || new) + (B_c CE(new slice) + B_e CE(exemplars, old slice)) / (B_c + B_e).
"""

from torch import Tensor

from iemf.continual.losses import distillation, separated_loss
from iemf.continual.methods.base import ContinualMethod, ContinualStep, register


@register("ssil", "SSIL")
class SSIL(ContinualMethod):
    """KD on new samples and exemplars, and the separated softmax."""

    uses_memory = True

    def loss(self, logits: Tensor, old_logits: Tensor, step: ContinualStep) -> Tensor:
        kept = distillation(logits, old_logits, step.old_slices)
        return kept + separated_loss(logits, step.labels, step.current, step.first_new)
