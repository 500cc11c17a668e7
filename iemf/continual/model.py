"""The audio-visual fusion network of AV-CIL (Pian et al. 2023): sound guides where and when to look.

P_v = tanh(W_av V), p_a = tanh(W_aa a); spatial weights: softmax over places of P_v * p_a, per channel; temporal
weights: softmax over times of (sum over places of w_s P_v) * p_a. Both pool the raw V to v. f_a = act(W_a a),
f_v = act(W_v v), f = f_a + f_v; one linear classifier on f, which grows with the classes.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iemf.logits import Logits


class Attended(NamedTuple):
    """Pooled picture [B, D]; log-weights over places [B, T, S, D] and over times [B, T, D]."""

    visual: Tensor
    spatial: Tensor
    temporal: Tensor


class ContinualOutput(NamedTuple):
    """Logits [B, C], features [B, F] of each modality, the attention's log-weights."""

    logits: Logits
    features: dict[str, Tensor]
    spatial: Tensor
    temporal: Tensor


class AudioGuidedAttention(nn.Module):
    """Pools visual features [B, T, S, D] under the guidance of the sound [B, D_a].

    Args:
        visual_size: D, channels of a place.
        audio_size: D_a.
    """

    def __init__(self, visual_size: int, audio_size: int) -> None:
        super().__init__()
        self.visual, self.audio = nn.Linear(visual_size, visual_size), nn.Linear(audio_size, visual_size)

    def forward(self, visual: Tensor, audio: Tensor) -> Attended:
        projected = torch.tanh(self.visual(visual))
        guide = torch.tanh(self.audio(audio))[:, None]
        spatial = F.log_softmax(projected * guide[:, None], dim=2)
        weights = spatial.exp()
        over_time = (weights * projected).sum(2)
        temporal = F.log_softmax(over_time * guide, dim=1)
        pooled = ((weights * visual).sum(2) * temporal.exp()).sum(1)
        return Attended(pooled, spatial, temporal)


class GrowingLinear(nn.Linear):
    """A linear layer that gains rows and keeps the old ones bit for bit."""

    def grow(self, outputs: int) -> None:
        """Append freshly initialised rows up to ``outputs``; parameters are new objects afterwards.

        Raises:
            ValueError: fewer rows than there are.
        """
        if outputs < self.out_features:
            raise ValueError(f"a classifier of {self.out_features} classes cannot shrink to {outputs}")
        fresh = nn.Linear(self.in_features, outputs).to(self.weight)
        with torch.no_grad():
            fresh.weight[: self.out_features] = self.weight
            fresh.bias[: self.out_features] = self.bias
        self.weight, self.bias, self.out_features = fresh.weight, fresh.bias, outputs


class ContinualNetwork(nn.Module):
    """Attention, two projections, the classifier on their sum, and a head for each modality.

    Args:
        audio_size: D_a, of the sound's features.
        visual_size: D, of a place's features.
        classes: of the first task.
        features: F.
        activation: makes the activation behind each projection: ReLU, a spiking neuron, or nn.Identity.
        train_encoders_by_heads: True for joint learning and IEMF. False: the heads read the features without sending a
            gradient back, as linear probes (see :class:`iemf.network.MultimodalNetwork`).
    """

    def __init__(
        self,
        audio_size: int,
        visual_size: int,
        classes: int,
        features: int = 768,
        activation: Callable[[], nn.Module] = nn.ReLU,
        train_encoders_by_heads: bool = True,
    ) -> None:
        super().__init__()
        self.attention = AudioGuidedAttention(visual_size, audio_size)
        self.audio, self.visual = nn.Linear(audio_size, features), nn.Linear(visual_size, features)
        self.activation_audio, self.activation_visual = activation(), activation()
        self.train_encoders_by_heads = train_encoders_by_heads
        self.classifier = GrowingLinear(features, classes)
        self.head_audio, self.head_visual = GrowingLinear(features, classes), GrowingLinear(features, classes)

    @property
    def classes(self) -> int:
        """How many classes there are logits for."""
        return self.classifier.out_features

    def grow(self, classes: int) -> None:
        """Make room for the classes of a new task."""
        for layer in (self.classifier, *self.heads.values()):
            layer.grow(classes)

    def forward(self, audio: Tensor, visual: Tensor) -> ContinualOutput:
        """audio [B, D_a], visual [B, T, S, D]."""
        attended = self.attention(visual, audio)
        f_a = self.activation_audio(self.audio(audio))
        f_v = self.activation_visual(self.visual(attended.visual))
        fused = self.classifier(f_a + f_v)
        features = {"audio": f_a, "visual": f_v}
        unimodal = {m: head(features[m] if self.train_encoders_by_heads else features[m].detach())
                    for m, head in self.heads.items()}  # fmt: skip
        return ContinualOutput(Logits(unimodal, fused), features, attended.spatial, attended.temporal)

    @property
    def heads(self) -> dict[str, GrowingLinear]:
        """By modality."""
        return {"audio": self.head_audio, "visual": self.head_visual}

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """By modality; the attention, guided by sound as it is, gives the visual features alone."""
        return {"audio": self.audio, "visual": nn.ModuleList([self.attention, self.visual])}

    @property
    def fusion(self) -> GrowingLinear:
        """The classifier, which IEMF modulates."""
        return self.classifier

    def fuse(self, features: Mapping[str, Tensor]) -> Tensor:
        """The fused logits [B, C] of features [B, F] by modality."""
        return self.classifier(features["audio"] + features["visual"])

    splits = True  # W (f_a + f_v) + b

    def contributions(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """W f_m + b/2 for each modality's features f_m [B, F], [B, C]; they sum to the fused logits."""
        layer = self.classifier
        return {modality: F.linear(f, layer.weight, layer.bias / 2) for modality, f in features.items()}
