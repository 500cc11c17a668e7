"""LFM (Yang et al. 2024): learn the fused labels and pull the modalities' predictions together.

    m = (p + q)/2,  p, q = softmax of the two heads' class logits
    L_align = (KL(m||p) + KL(m||q)) / 2      of M modalities: m the mean of all, L_align the mean of all M divergences
    loss = 2·(α1(e)·L_cls + λ·(1 - α1(e))·L_align),  λ = 1,  L_cls = CE(fused),  α1: a fixed polynomial of the epoch e

L_cls is whatever loss of the fused logits the task has. The code released with He et al. 2025 instead adds L_align to
it, with weight 1 and on the features.
"""

import functools
import math

import torch
from torch import Tensor

from iemf.balance.base import Method, Readable, register
from iemf.divergence import at_least_float32, divergence

POLYNOMIAL = (0.204623704, 3.35472727e-3, 1.22989557e-4, -2.92947416e-6, 2.23835486e-8, -5.39717505e-11)
LAST_EPOCH = 199  # the polynomial was fitted to 200 epochs, of which He et al. 2025 run 100; it is held afterwards


def classification_weight(epoch: float) -> float:
    """α1 of an epoch (from 0): 0.205 at 0, 0.437 at 50, 0.916 at 199."""
    epoch = min(epoch, LAST_EPOCH)
    return sum(coefficient * epoch**power for power, coefficient in enumerate(POLYNOMIAL))


def alignment_loss(*logits: Tensor) -> Tensor:
    """L_align of two or more sets of logits [B, K], batch mean, in nats; 0 where all softmaxes agree.

    Half precision is computed, and the loss returned, in float32. An empty batch is a ValueError.
    """
    logs = [at_least_float32(each).log_softmax(1) for each in logits]
    # A class that all rule out is -∞ in all, of which logaddexp has no gradient.
    logs = [log.clamp(min=torch.finfo(log.dtype).min) for log in logs]
    log_m = functools.reduce(torch.logaddexp, logs) - math.log(len(logs))
    return functools.reduce(torch.add, [divergence(log_m, log_p) for log_p in logs]) / len(logs)


@register("lfm", "LFM")
class LFM(Method):
    """The fused loss and alignment, weighted by epoch."""

    has_schedule = True
    constant = 1.0  # λ, ours: it lets the weight of the alignment be searched

    def loss(self, fused: Tensor, output: Readable, labels: Tensor, epoch: int) -> Tensor:
        if self.recipe == "released":
            return fused + self.constant * alignment_loss(*output.features.values())
        # Re-read the heads: a vanilla network's own head logits carry no gradient to the encoders.
        logits = [head(output.features[name]) for name, head in self.network.heads.items()]
        weight = classification_weight(self.at(epoch))
        return 2 * (weight * fused + self.constant * (1 - weight) * alignment_loss(*logits))
