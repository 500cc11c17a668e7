"""The losses of class-incremental learning as pure functions (Li & Hoiem 2016, Ahn et al. 2021, Pian et al. 2023).

Classes are numbered in the order in which they are learnt; ``slices`` are the ranges of logits of one task each.
Distillation and contrast of half precision are computed, and returned, in float32: their sums overflow in half. An
empty batch is a ValueError.
"""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from iemf.divergence import at_least_float32, divergence, refuse_empty

TEMPERATURE = 2.0  # of distillation
TAU = 0.05  # of the contrastive losses


def distillation(new: Tensor, old: Tensor, slices: Sequence[slice], temperature: float = TEMPERATURE) -> Tensor:
    """Sum over tasks of T^2 KL(softmax(old/T) || softmax(new/T)), each task's logits by themselves; batch mean.

    Args:
        new: [B, C] logits of the model in training; columns behind the last slice are ignored.
        old: [B, C_old] logits of the model before this task, no gradient.
        slices: of the old tasks, one or more.
        temperature: T.

    Raises:
        ValueError: no slices, or one beyond the logits.
    """
    if not slices:
        raise ValueError("distillation needs the slice of one old task at least")
    losses = []
    for part in slices:
        target, guess = (at_least_float32(logits)[:, part] / temperature for logits in (old, new))
        if not target.shape[1]:
            raise ValueError(f"logits of {old.shape[1]} old classes have none in {part}")
        losses.append(temperature**2 * divergence(F.log_softmax(target, dim=1), F.log_softmax(guess, dim=1)))
    return reduce(torch.add, losses)


def new_class_loss(logits: Tensor, labels: Tensor, first_new: int) -> Tensor:
    """Cross-entropy over the new classes' logits alone.

    Args:
        logits: [B, C]; columns from ``first_new`` on belong to this task.
        labels: [B], each >= first_new.
        first_new: the number of old classes.

    Raises:
        ValueError: a label is not one of these classes (checked on the CPU).
    """
    refuse_empty(logits, "loss")
    _check_labels(labels, first_new, logits.shape[1])
    return F.cross_entropy(logits[:, first_new:], labels - first_new)


def separated_loss(logits: Tensor, labels: Tensor, current: int, first_new: int) -> Tensor:
    """(B_c CE(current samples, new classes) + B_e CE(exemplars, old classes)) / (B_c + B_e) (Ahn et al. 2021).

    Args:
        logits: [B_c + B_e, C], the ``current`` samples of this task first, exemplars of old classes behind them.
        labels: [B_c + B_e].
        current: B_c.
        first_new: the number of old classes.

    Raises:
        ValueError: a label is on the wrong side of ``first_new`` (checked on the CPU).
    """
    refuse_empty(logits, "loss")
    _check_labels(labels[:current], first_new, logits.shape[1])
    _check_labels(labels[current:], 0, first_new)
    new = F.cross_entropy(logits[:current, first_new:], labels[:current] - first_new, reduction="sum")
    old = F.cross_entropy(logits[current:, :first_new], labels[current:], reduction="sum")
    return (new + old) / len(labels)


def instance_contrast(audio: Tensor, visual: Tensor, tau: float = TAU) -> Tensor:
    """L_I: each sound's own picture among all pictures of the batch, cross-entropy of a v^T / tau.

    Args:
        audio, visual: [N, F], L2-normalised.
        tau: temperature.
    """
    refuse_empty(audio, "contrast")
    audio, visual = at_least_float32(audio), at_least_float32(visual)
    return F.cross_entropy(audio @ visual.T / tau, torch.arange(len(audio), device=audio.device))


def class_contrast(audio: Tensor, visual: Tensor, labels: Tensor, tau: float = TAU) -> Tensor:
    """L_C = -(1/N^2) sum over i, j of the same class of log softmax_j(a_i v^T / tau).

    Args:
        audio, visual: [N, F], L2-normalised.
        labels: [N].
        tau: temperature.
    """
    refuse_empty(audio, "contrast")
    audio, visual = at_least_float32(audio), at_least_float32(visual)
    likely = F.log_softmax(audio @ visual.T / tau, dim=1)
    same = labels[:, None] == labels[None]
    return -likely.where(same, 0).sum() / len(labels) ** 2


def attention_distillation(new: Tensor, old: Tensor) -> Tensor:
    """VAD: KL(old || new) of attention weights, summed over all distributions of a sample, mean over samples.

    Args:
        new, old: [B_e, ...] log-weights of the same shape; no gradient belongs through ``old``.
    """
    return divergence(at_least_float32(old), at_least_float32(new))


def _check_labels(labels: Tensor, first: int, end: int) -> None:
    if labels.device.type == "cpu" and len(labels):
        lowest, highest = map(int, labels.aminmax())
        if lowest < first or highest >= end:
            raise ValueError(f"labels must lie in {first}..{end - 1} here, got {lowest}..{highest}")
