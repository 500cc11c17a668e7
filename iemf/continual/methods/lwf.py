"""Learning without forgetting (Li & Hoiem 2016): distillation on the new samples, no memory.

L = sum over old tasks of T^2 KL(old || new) + CE over the new classes.
"""

from torch import Tensor

from iemf.continual.losses import distillation, new_class_loss
from iemf.continual.methods.base import ContinualMethod, ContinualStep, register


@register("lwf", "LwF")
class LwF(ContinualMethod):
    """KD on the new task's samples, and CE among its classes."""

    def loss(self, logits: Tensor, old_logits: Tensor, step: ContinualStep) -> Tensor:
        kept = distillation(logits, old_logits, step.old_slices)
        return kept + new_class_loss(logits, step.labels, step.first_new)
