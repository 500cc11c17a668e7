"""Pairs that do not belong together: beside each sound a frame of another video of the batch."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BELONGS = 1  # the class of a picture and a sound of one video


class Others(NamedTuple):
    """For each sound [B, T]: the row of the frame beside it; ``exists`` [B] is False where all share one video."""

    row: Tensor
    exists: Tensor


def draw_others(video: Tensor, times: int, generator: torch.Generator) -> Others:
    """The frame of a random other video for every time of every row.

    It is that of the same time: features may say what time it is, and a wrong time must not be what gives it away.

    Args:
        video: [B], the video of each row; rows of the same video are never paired.
        times: T.
        generator: on the CPU.
    """
    count, device = len(video), video.device
    differs = video[:, None] != video[None]
    draws = torch.rand(count, times, count, generator=generator).to(device, non_blocking=True)
    row = draws.masked_fill(~differs[:, None], -1.0).argmax(dim=2)
    return Others(row, differs.any(dim=1))


class MatchLogits(NamedTuple):
    """Logits [B, T, 2] of sounds beside their own pictures, and beside those of other videos."""

    right: Tensor
    wrong: Tensor


def match_loss(logits: MatchLogits, exists: Tensor) -> Tensor:
    """Cross-entropy of both kinds of pair, each with half the weight; rows without another video have no wrong pairs.

    Args:
        logits: of both kinds.
        exists: [B].
    """
    losses_right, losses_wrong = (-F.log_softmax(each, dim=-1)[..., kind].mean(dim=1)
                                  for each, kind in zip(logits, (BELONGS, 1 - BELONGS), strict=True))  # fmt: skip
    there = exists.to(losses_wrong.dtype)
    return (losses_right.mean() + (losses_wrong * there).sum() / there.sum().clamp(min=1)) / 2
