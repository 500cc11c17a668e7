"""Accuracy of both heads and of the fusion on one split."""

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader


@torch.no_grad()
def evaluate(
    network: nn.Module, front_end: nn.Module, loader: DataLoader, accelerator: Accelerator
) -> tuple[dict[str, float], float]:
    """(accuracies in percent by modality and as "fused", mean cross-entropy of the fused logits in nats) over every
    sample of ``loader``.

    ``network`` and ``loader`` are prepared by ``accelerator``; the numbers are read from the device once, at the end.
    """
    network.eval()
    front_end.eval()
    parts, names = [], ()
    for batch in loader:
        logits = network(*front_end(batch.audio, batch.visual)).logits
        names = tuple(logits.named())
        correct = [(each.argmax(1) == batch.label).double() for each in logits.named().values()]
        loss = F.cross_entropy(logits.fused.float(), batch.label, reduction="none").double()
        # Samples that were repeated to fill the last round of several processes are dropped here.
        parts.append(accelerator.gather_for_metrics(torch.stack([*correct, loss], dim=1)).sum(0))
    *correct, loss = (torch.stack(parts).sum(0) / len(loader.dataset)).tolist()
    return {name: 100 * share for name, share in zip(names, correct, strict=True)}, loss
