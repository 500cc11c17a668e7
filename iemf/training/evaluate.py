"""Accuracy of both heads and of the fusion on one split."""

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from iemf.balance.base import Accuracies


@torch.no_grad()
def evaluate(
    network: nn.Module, front_end: nn.Module, loader: DataLoader, accelerator: Accelerator
) -> tuple[Accuracies, float]:
    """(accuracies in percent, mean cross-entropy of the fused logits in nats) over every sample of ``loader``.

    ``network`` and ``loader`` are prepared by ``accelerator``; the numbers are read from the device once, at the end.
    """
    network.eval()
    front_end.eval()
    parts = []
    for batch in loader:
        output = network(*front_end(batch.audio, batch.visual))
        correct = [(logits.argmax(1) == batch.label).double() for logits in output.logits]
        loss = F.cross_entropy(output.logits.fused.float(), batch.label, reduction="none").double()
        # Samples that were repeated to fill the last round of several processes are dropped here.
        parts.append(accelerator.gather_for_metrics(torch.stack([*correct, loss], dim=1)).sum(0))
    count = len(loader.dataset)
    *correct, loss = (torch.stack(parts).sum(0) / count).tolist()
    return Accuracies(*(100 * share for share in correct)), loss
