"""The audio-visual network: two encoders, one fusion layer, a classification head per modality."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from iemf.logits import Logits


class Output(NamedTuple):
    """What one pass gives: the logits, and the features z_m [B, F] of each modality that they were read from."""

    logits: Logits
    features: dict[str, Tensor]


def encode(encoder: nn.Module, x: Tensor) -> Tensor:
    """Features [B, F] of x [B, C, H, W], or of N frames, [B, N, C, H, W], whose features are averaged."""
    if x.ndim == 5:
        return encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)
    return encoder(x)


class AudioVisualNetwork(nn.Module):
    """Encode both modalities, fuse, and classify each modality alone beside the fusion.

    Args:
        audio_encoder: [B, C_a, H, W] -> [B, F].
        visual_encoder: [B, C_v, H, W] -> [B, F].
        fusion: (z_a, z_v) -> [B, C], one of :mod:`iemf.fusion` or anything of the same form.
        features: F, the width of both encoders' output.
        classes: C >= 2.
        train_encoders_by_heads: True for joint learning and IEMF, whose loss is L_av + L_a + L_v. False lets the
            heads read the features without sending a gradient back: linear probes, which make the unimodal
            accuracies of a vanilla network mean something and leave its encoders and fusion as they would be
            (but for LFM, whose alignment reads the heads, and for clipping, which counts the heads' gradient).
    """

    def __init__(
        self,
        audio_encoder: nn.Module,
        visual_encoder: nn.Module,
        fusion: nn.Module,
        features: int,
        classes: int,
        train_encoders_by_heads: bool,
    ) -> None:
        super().__init__()
        self.audio_encoder = audio_encoder
        self.visual_encoder = visual_encoder
        self.fusion = fusion
        self.audio_head = nn.Linear(features, classes)
        self.visual_head = nn.Linear(features, classes)
        self.train_encoders_by_heads = train_encoders_by_heads

    def forward(self, audio: Tensor, visual: Tensor) -> Output:
        """audio [B, C_a, H, W]; visual [B, C_v, H, W], or [B, N, C_v, H, W] for N frames (features averaged)."""
        z_audio, z_visual = self.audio_encoder(audio), encode(self.visual_encoder, visual)
        features = {"audio": z_audio, "visual": z_visual}
        unimodal = {m: head(features[m] if self.train_encoders_by_heads else features[m].detach())
                    for m, head in self.heads.items()}  # fmt: skip
        return Output(Logits(unimodal, self.fusion(z_audio, z_visual)), features)

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """By modality."""
        return {"audio": self.audio_encoder, "visual": self.visual_encoder}

    @property
    def heads(self) -> dict[str, nn.Module]:
        """By modality."""
        return {"audio": self.audio_head, "visual": self.visual_head}

    @property
    def splits(self) -> bool:
        """Whether the fused logits are a sum over modalities."""
        return hasattr(self.fusion, "contributions")

    def contributions(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The modalities' parts of the fused logits, [B, C] each, from their features [B, F]."""
        names = ("audio", "visual")
        return dict(zip(names, self.fusion.contributions(*(features[name] for name in names)), strict=True))
