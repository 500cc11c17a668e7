"""What every network of this toolkit puts out, whatever its task: class logits of each modality alone, and fused."""

from typing import NamedTuple

from torch import Tensor

FUSED = "fused"


class Logits(NamedTuple):
    """Class logits, each [B, C]: by modality name, and of the fusion."""

    unimodal: dict[str, Tensor]
    fused: Tensor

    def named(self) -> dict[str, Tensor]:
        """All of them by name; the fused ones, as "fused", last."""
        return {**self.unimodal, FUSED: self.fused}
