"""Accuracy of both heads and of the fusion on one split."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from iemf.training.effects import sample_scores


class Evaluation(NamedTuple):
    """Accuracies in percent by modality and as "fused"; mean cross-entropy of the fused logits in nats; of every sample
    in order [N, 3] what :func:`iemf.training.effects.sample_scores` says."""

    accuracies: dict[str, float]
    loss: float
    scores: Tensor


@torch.no_grad()
def evaluate(network: nn.Module, front_end: nn.Module, loader: DataLoader, accelerator: Accelerator) -> Evaluation:
    """Over every sample of ``loader``.

    ``network`` and ``loader`` are prepared by ``accelerator``; the numbers are read from the device once, at the end.
    """
    network.eval()
    front_end.eval()
    parts, scores, names = [], [], ()
    for batch in loader:
        logits = network(*front_end(*batch.inputs)).logits
        names = tuple(logits.named())
        correct = [(each.argmax(1) == batch.label).double() for each in logits.named().values()]
        loss = F.cross_entropy(logits.fused.float(), batch.label, reduction="none").double()
        # Samples that were repeated to fill the last round of several processes are dropped here.
        own = torch.cat([torch.stack([*correct, loss], dim=1), sample_scores(logits, batch.label)], dim=1)
        counted, seen = accelerator.gather_for_metrics(own).split([len(correct) + 1, 3], dim=1)
        parts.append(counted.sum(0))
        scores.append(seen)
    *correct, loss = (torch.stack(parts).sum(0) / len(loader.dataset)).tolist()
    shares = {name: 100 * share for name, share in zip(names, correct, strict=True)}
    return Evaluation(shares, loss, torch.cat(scores).cpu())
