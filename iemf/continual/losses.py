"""The losses of class-incremental learning as pure functions (Li & Hoiem 2016, Ahn et al. 2021, Pian et al. 2023).

Classes are numbered in the order in which they are learnt; ``slices`` are the ranges of logits of one task each.
"""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 2.0  # of distillation
TAU = 0.05  # of the contrastive losses


def distillation(new: Tensor, old: Tensor, slices: Sequence[slice], temperature: float = TEMPERATURE) -> Tensor:
    """Sum over tasks of T^2 KL(softmax(old/T) || softmax(new/T)), each task's logits by themselves; batch mean.

    Args:
        new: [B, C] logits of the model in training; columns behind the last slice are ignored.
        old: [B, C_old] logits of the model before this task, no gradient.
        slices: of the old tasks, one or more.
        temperature: T.
    """
    losses = []
    for part in slices:
        target = F.log_softmax(old[:, part] / temperature, dim=1)
        guess = F.log_softmax(new[:, part] / temperature, dim=1)
        losses.append(temperature**2 * F.kl_div(guess, target, reduction="batchmean", log_target=True))
    return reduce(torch.add, losses)


def new_class_loss(logits: Tensor, labels: Tensor, first_new: int) -> Tensor:
    """Cross-entropy over the new classes' logits alone.

    Args:
        logits: [B, C]; columns from ``first_new`` on belong to this task.
        labels: [B], each >= first_new.
        first_new: the number of old classes.
    """
    return F.cross_entropy(logits[:, first_new:], labels - first_new)


def separated_loss(logits: Tensor, labels: Tensor, current: int, first_new: int) -> Tensor:
    """(B_c CE(current samples, new classes) + B_e CE(exemplars, old classes)) / (B_c + B_e) (Ahn et al. 2021).

    Args:
        logits: [B_c + B_e, C], the ``current`` samples of this task first, exemplars of old classes behind them.
        labels: [B_c + B_e].
        current: B_c.
        first_new: the number of old classes.
    """
    new = F.cross_entropy(logits[:current, first_new:], labels[:current] - first_new, reduction="sum")
    old = F.cross_entropy(logits[current:, :first_new], labels[current:], reduction="sum")
    return (new + old) / len(labels)


def instance_contrast(audio: Tensor, visual: Tensor, tau: float = TAU) -> Tensor:
    """L_I: each sound's own picture among all pictures of the batch, cross-entropy of a v^T / tau.

    Args:
        audio, visual: [N, F], L2-normalised.
        tau: temperature.
    """
    return F.cross_entropy(audio @ visual.T / tau, torch.arange(len(audio), device=audio.device))


def class_contrast(audio: Tensor, visual: Tensor, labels: Tensor, tau: float = TAU) -> Tensor:
    """L_C = -(1/N^2) sum over i, j of the same class of log softmax_j(a_i v^T / tau).

    Args:
        audio, visual: [N, F], L2-normalised.
        labels: [N].
        tau: temperature.
    """
    likely = F.log_softmax(audio @ visual.T / tau, dim=1)
    same = labels[:, None] == labels[None]
    return -likely.where(same, 0).sum() / len(labels) ** 2


def attention_distillation(new: Tensor, old: Tensor) -> Tensor:
    """VAD: KL(old || new) of attention weights, summed over all distributions of a sample, mean over samples.

    Args:
        new, old: [B_e, ...] log-weights of the same shape; no gradient belongs through ``old``.
    """
    return F.kl_div(new, old, reduction="sum", log_target=True) / len(new)
