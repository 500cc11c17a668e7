"""Fusion layers: (audio [B, F], visual [B, F]) -> fused class logits [B, C]. IEMF scales the update of these alone.

Concat is Eq. 5 of the paper. Sum, FiLM and gated follow the fusion variants that Peng et al. 2022 (OGM-GE) compare.
Concat and sum take any number of modalities, in the network's order; their logits split by modality, and they have
``contributions``, which OGM-GE needs. FiLM and gated are of two.
"""

import torch
from torch import Tensor, nn

from iemf.errors import UserError


class ConcatFusion(nn.Module):
    """logits = W [z_a; z_v] + b (Eq. 5).

    >>> ConcatFusion(8, classes=10, modalities=3)(*torch.zeros(3, 2, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self, features: int, classes: int, modalities: int = 2) -> None:
        super().__init__()
        self.modalities = modalities
        self.linear = nn.Linear(modalities * features, classes)

    def forward(self, *features: Tensor) -> Tensor:
        return self.linear(torch.cat(features, dim=1))

    def contributions(self, *features: Tensor) -> tuple[Tensor, ...]:
        """W_m z_m + b/M for each of M modalities, [B, C] each; their sum is ``forward``."""
        weights, share = self.linear.weight.chunk(self.modalities, dim=1), self.linear.bias / self.modalities
        return tuple(z @ weight.T + share for z, weight in zip(features, weights, strict=True))


class SumFusion(nn.Module):
    """logits = W_a z_a + b_a + W_v z_v + b_v."""

    def __init__(self, features: int, classes: int, modalities: int = 2) -> None:
        super().__init__()
        names = ("audio", "visual", *(f"modality_{place}" for place in range(2, modalities)))  # of the weights
        for name in names[:modalities]:
            self.add_module(name, nn.Linear(features, classes))

    def forward(self, *features: Tensor) -> Tensor:
        return sum(self.contributions(*features))

    def contributions(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Each modality's own linear map, [B, C] each; their sum is ``forward``."""
        return tuple(linear(z) for linear, z in zip(self.children(), features, strict=True))


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
OF_TWO = ("film", "gated")


def make_fusion(name: str, features: int, classes: int, modalities: int = 2) -> nn.Module:
    """The layer of this name.

    Args:
        name: one of FUSIONS.
        features: F, of each modality.
        classes: C.
        modalities: how many there are, 2 or more.

    Raises:
        UserError: a layer of two for more of them.
    """
    if name in OF_TWO:
        if modalities != 2:
            raise UserError(f"`fusion` {name} is of two modalities, and there are {modalities}; choose concat or sum")
        return FUSIONS[name](features, classes)
    return FUSIONS[name](features, classes, modalities)
