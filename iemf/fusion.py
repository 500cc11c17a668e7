"""Fusion layers: (audio [B, F], visual [B, F]) -> fused class logits [B, C]. IEMF scales the update of these alone.

Concat is Eq. 5 of the paper. Sum, FiLM and gated follow the fusion variants that Peng et al. 2022 (OGM-GE) compare.
A layer whose logits split by modality also has ``contributions``, which OGM-GE needs.
"""

import torch
from torch import Tensor, nn


class ConcatFusion(nn.Module):
    """logits = W [z_a; z_v] + b (Eq. 5)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * features, classes)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        return self.linear(torch.cat([audio, visual], dim=1))

    def contributions(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """W_m z_m + b/2 for m = audio, visual, each [B, C]; their sum is ``forward``."""
        weight_audio, weight_visual = self.linear.weight.chunk(2, dim=1)
        half = self.linear.bias / 2
        return audio @ weight_audio.T + half, visual @ weight_visual.T + half


class SumFusion(nn.Module):
    """logits = W_a z_a + b_a + W_v z_v + b_v."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.audio = nn.Linear(features, classes)
        self.visual = nn.Linear(features, classes)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        return self.audio(audio) + self.visual(visual)

    def contributions(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Each modality's own linear map, [B, C] each; their sum is ``forward``."""
        return self.audio(audio), self.visual(visual)


class FiLMFusion(nn.Module):
    """logits = W (g(z_a) ⊙ z_v + h(z_a)) + b: the sound conditions the image (Perez et al. 2018)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.condition = nn.Linear(features, 2 * features)
        self.linear = nn.Linear(features, classes)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        gain, shift = self.condition(audio).chunk(2, dim=1)
        return self.linear(gain * visual + shift)


class GatedFusion(nn.Module):
    """logits = W (σ(W_a z_a) ⊙ W_v z_v) + b: the sound gates the image (Kiela et al. 2018)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.audio = nn.Linear(features, features)
        self.visual = nn.Linear(features, features)
        self.linear = nn.Linear(features, classes)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        return self.linear(torch.sigmoid(self.audio(audio)) * self.visual(visual))


FUSIONS = {"concat": ConcatFusion, "sum": SumFusion, "film": FiLMFusion, "gated": GatedFusion}
