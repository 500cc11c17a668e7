"""Where the sound comes from: spatial grounding, learnt by telling pictures that belong to a sound from others.

w = softmax over places of <v_p / |v_p|, a / |a|>                    (Li et al. 2022)
v_g = fc_gl(tanh[mean over places of v; Σ_p w_p·v_p / |v_p|])
match = 2 logits of [a; v_g]: does the picture belong to the sound?
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iemf.avqa.layers import audio_layers, visual_layer
from iemf.avqa.pairs import MatchLogits


class Grounded(NamedTuple):
    """a and v_g, [..., width] each; weights over places [..., P], which sum to 1."""

    audio: Tensor
    visual: Tensor
    weights: Tensor


class Places(NamedTuple):
    """Of a picture: the mean of v_p over its places [..., D], and v_p / |v_p| [..., P, D]."""

    mean: Tensor
    directions: Tensor


def ground(directions: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of a sound over the places of a picture.

    Args:
        directions: v_p / |v_p|, [..., P, D].
        audio: [..., D].

    Returns:
        (Σ_p w_p·v_p / |v_p|, [..., D]; w, [..., P]).
    """
    weights = (directions @ F.normalize(audio, dim=-1)[..., None])[..., 0].softmax(dim=-1)
    return (weights[..., None, :] @ directions)[..., 0, :], weights


class MatchNetwork(nn.Module):
    """What stage 1 trains: the sound's layers, grounding, and the match head.

    Args:
        audio_size, visual_size: D_a and C.
        width: of a and v_g.
    """

    def __init__(self, audio_size: int, visual_size: int, width: int = 512) -> None:
        super().__init__()
        self.audio = audio_layers(audio_size, width)
        self.visual = visual_layer(visual_size, width)
        self.fc_gl = nn.Linear(2 * width, width)
        self.match = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(),
            nn.Linear(width, width // 2), nn.ReLU(),
            nn.Linear(width // 2, width // 4), nn.ReLU(),
            nn.Linear(width // 4, 2),
        )  # fmt: skip

    def places(self, visual: Tensor) -> Places:
        """Of maps [..., C, H, W]."""
        places = self.visual(visual.flatten(-2).transpose(-1, -2))
        return Places(places.mean(dim=-2), F.normalize(places, dim=-1))

    def hear(self, sound: Tensor) -> Tensor:
        """Sound [..., D_a] as a [..., width]."""
        return self.audio(sound)

    def forward(self, audio: Tensor, visual: Tensor, wrong: Tensor) -> MatchLogits:
        """audio [..., D_a]; visual and wrong [..., C, H, W], its own picture and another's: does it tell them apart?"""
        heard = self.hear(audio)
        return MatchLogits(*(self.matches(self.grounded(heard, self.places(each))) for each in (visual, wrong)))

    def grounded(self, audio: Tensor, places: Places) -> Grounded:
        """audio [..., width] of :meth:`hear`, places of :meth:`places`."""
        found, weights = ground(places.directions, audio)
        visual = self.fc_gl(torch.tanh(torch.cat([places.mean, found], dim=-1)))
        return Grounded(audio, visual, weights)

    def matches(self, grounded: Grounded) -> Tensor:
        """Logits [..., 2]."""
        return self.match(torch.cat([grounded.audio, grounded.visual], dim=-1))
