"""Where the sound comes from: spatial grounding, learnt by telling pictures that belong to a sound from others.

w = softmax over places of <v_p / |v_p|, a / |a|>                    (Li et al. 2022)
v_g = fc_gl(tanh[mean over places of v; Σ_p w_p·v_p / |v_p|])
match = 2 logits of [a; v_g]: does the picture belong to the sound?
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iemf.avqa.baseline import audio_layers, visual_layer

BELONGS = 1  # the class of a picture and a sound of one video


class Grounded(NamedTuple):
    """a and v_g, [..., width] each; weights over places [..., P], which sum to 1."""

    audio: Tensor
    visual: Tensor
    weights: Tensor


def ground(places: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Attention of a sound over the places of a picture.

    Args:
        places: [..., P, D].
        audio: [..., D].

    Returns:
        (Σ_p w_p·v_p / |v_p|, [..., D]; w, [..., P]).
    """
    normalised = F.normalize(places, dim=-1)
    weights = (normalised @ F.normalize(audio, dim=-1)[..., None])[..., 0].softmax(dim=-1)
    return (weights[..., None, :] @ normalised)[..., 0, :], weights


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

    def places(self, visual: Tensor) -> Tensor:
        """Maps [..., C, H, W] as places [..., P, width]."""
        return self.visual(visual.flatten(-2).transpose(-1, -2))

    def hear(self, sound: Tensor) -> Tensor:
        """Sound [..., D_a] as a [..., width]."""
        return self.audio(sound)

    def forward(self, audio: Tensor, places: Tensor) -> Grounded:
        """audio [..., width] of :meth:`hear`, places [..., P, width] of :meth:`places`."""
        found, weights = ground(places, audio)
        visual = self.fc_gl(torch.tanh(torch.cat([places.mean(dim=-2), found], dim=-1)))
        return Grounded(audio, visual, weights)

    def matches(self, grounded: Grounded) -> Tensor:
        """Logits [..., 2]."""
        return self.match(torch.cat([grounded.audio, grounded.visual], dim=-1))
