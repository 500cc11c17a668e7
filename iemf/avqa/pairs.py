"""Pairs that do not belong together: beside each sound a frame of another video, any of the split (Li et al. 2022)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from iemf.divergence import at_least_float32, refuse_empty

BELONGS = 1  # the class of a picture and a sound of one video


class Frames(NamedTuple):
    """Frames of videos: which video, by its place in a list, and which second; of one shape, int64."""

    video: Tensor
    second: Tensor

    def of(self, index: Tensor) -> "Frames":
        """Some of them."""
        return Frames(self.video[index], self.second[index])


def draw_others(own: Tensor, videos: int, seconds: int, generator: torch.Generator) -> Frames:
    """For each entry of ``own`` a frame of another video; all (videos - 1)·seconds of them are equally likely.

    Args:
        own: places of the sounds' videos, of any shape, in 0 .. videos - 1.
        videos: how many there are, 2 or more.
        seconds: frames of a video.
        generator: on the CPU.

    Raises:
        ValueError: there is no other video, or no frame.
    """
    if videos < 2 or seconds < 1:
        raise ValueError(f"frames of other videos need two videos or more and a second or more, got {videos} video(s) "
                         f"of {seconds} s")  # fmt: skip
    drawn = torch.randint((videos - 1) * seconds, own.shape, generator=generator)
    other = drawn // seconds
    return Frames(other + (other >= own), drawn % seconds)


class MatchLogits(NamedTuple):
    """Logits [..., 2] of sounds beside their own pictures, and beside those of other videos."""

    right: Tensor
    wrong: Tensor


def match_loss(logits: MatchLogits) -> Tensor:
    """Cross-entropy over all pairs, as many of either kind; of half precision in float32. No pairs are a ValueError."""
    refuse_empty(logits.right, "match loss")
    right, wrong = (-F.log_softmax(at_least_float32(each), dim=-1)[..., kind].mean()
                    for each, kind in zip(logits, (BELONGS, 1 - BELONGS), strict=True))  # fmt: skip
    return (right + wrong) / 2
