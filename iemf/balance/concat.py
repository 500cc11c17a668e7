"""Concat ("Normal" in the paper): cross-entropy on the fused logits, nothing more (Eq. 5)."""

import torch.nn.functional as F
from torch import Tensor

from iemf.balance.base import Method, register
from iemf.network import Output

RELEASED_LABEL_SMOOTHING = 0.1


@register("concat", "Concat")
class Concat(Method):
    """loss = CE(fused); the released code smooths the labels by 0.1."""

    def loss(self, output: Output, labels: Tensor, epoch: int) -> Tensor:
        smoothing = RELEASED_LABEL_SMOOTHING if self.recipe == "released" else 0.0
        return F.cross_entropy(output.logits.fused, labels, label_smoothing=smoothing)
