"""The network: an encoder and a classification head for each modality, and one fusion layer."""

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


class MultimodalNetwork(nn.Module):
    """Encode every modality, fuse, and classify each modality alone beside the fusion.

    Args:
        encoders: by modality, [B, C_m, H, W] -> [B, F]; a third modality is one more entry.
        fusion: (z_1, ..., z_M) -> [B, C], in the order of ``encoders``: one of :mod:`iemf.fusion` or anything of the
            same form.
        features: F, the width of every encoder's output.
        classes: C >= 2.
        train_encoders_by_heads: True for joint learning and IEMF, whose loss is L_av + L_a + L_v. False lets the
            heads read the features without sending a gradient back: linear probes, which make the unimodal
            accuracies of a vanilla network mean something and leave its encoders and fusion as they would be
            (but for LFM, whose alignment reads the heads, and for clipping, which counts the heads' gradient).

    >>> import torch
    >>> from iemf.fusion import ConcatFusion
    >>> encoders = {name: nn.Flatten() for name in ("audio", "visual", "depth")}
    >>> network = MultimodalNetwork(encoders, ConcatFusion(4, 10, modalities=3), 4, 10, True)
    >>> logits = network(*torch.zeros(3, 5, 1, 2, 2)).logits
    >>> {name: tuple(each.shape) for name, each in logits.named().items()}
    {'audio': (5, 10), 'visual': (5, 10), 'depth': (5, 10), 'fused': (5, 10)}
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module,
        features: int,
        classes: int,
        train_encoders_by_heads: bool,
    ) -> None:
        super().__init__()
        self.modalities = tuple(encoders)
        for name, encoder in encoders.items():
            self.add_module(f"{name}_encoder", encoder)
        self.fusion = fusion
        for name in encoders:
            self.add_module(f"{name}_head", nn.Linear(features, classes))
        self.train_encoders_by_heads = train_encoders_by_heads

    def forward(self, *inputs: Tensor) -> Output:
        """[B, C_m, H, W] of each modality in order, or [B, N, C_m, H, W] for N frames (features averaged)."""
        features = {m: encode(encoder, x) for (m, encoder), x in zip(self.encoders.items(), inputs, strict=True)}
        unimodal = {m: head(features[m] if self.train_encoders_by_heads else features[m].detach())
                    for m, head in self.heads.items()}  # fmt: skip
        return Output(Logits(unimodal, self.fusion(*features.values())), features)

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """By modality."""
        return {m: getattr(self, f"{m}_encoder") for m in self.modalities}

    @property
    def heads(self) -> dict[str, nn.Module]:
        """By modality."""
        return {m: getattr(self, f"{m}_head") for m in self.modalities}

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """The fused logits [B, C] of features [B, F] by modality."""
        return self.fusion(*(features[m] for m in self.modalities))

    @property
    def splits(self) -> bool:
        """Whether the fused logits are a sum over modalities."""
        return hasattr(self.fusion, "contributions")

    def contributions(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The modalities' parts of the fused logits, [B, C] each, from their features [B, F]."""
        parts = self.fusion.contributions(*(features[m] for m in self.modalities))
        return dict(zip(self.modalities, parts, strict=True))


class AudioVisualNetwork(MultimodalNetwork):
    """Of sound and images; ``network(audio, visual)``.

    Args:
        audio_encoder: [B, C_a, H, W] -> [B, F].
        visual_encoder: [B, C_v, H, W] -> [B, F].
        fusion, features, classes, train_encoders_by_heads: as of :class:`MultimodalNetwork`.
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
        encoders = {"audio": audio_encoder, "visual": visual_encoder}
        super().__init__(encoders, fusion, features, classes, train_encoders_by_heads)
