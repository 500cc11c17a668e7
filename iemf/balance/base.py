"""The hooks of a balancing method; a method overrides the two or three it needs.

One training step runs: forward, ``loss``, backward, unscale, ``on_gradients``, ξ on the fusion layer, clip, step.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from iemf.network import AudioVisualNetwork, Output

Reduce = Callable[[Tensor], Tensor]


class Accuracies(NamedTuple):
    """Accuracy of the two heads and of the fusion, in percent."""

    audio: float
    visual: float
    fused: float


class Method:
    """A way to train the fusion; this base does nothing beyond cross-entropy of the fused logits.

    Args:
        network: the network whose gradients ``on_gradients`` may change.
        seed: of the method's own random numbers, if it draws any; the same on every replica.
        recipe: "paper" follows the papers; "released" what the code released with He et al. 2025 does instead.
    """

    def __init__(self, network: AudioVisualNetwork, seed: int = 0, recipe: str = "paper") -> None:
        self.network = network
        self.recipe = recipe

    def loss(self, output: Output, labels: Tensor, epoch: int) -> Tensor:
        """The method's loss, a 0-dim tensor; the heads' own cross-entropies are the loop's affair."""
        return F.cross_entropy(output.logits.fused, labels)

    def on_gradients(self, output: Output, labels: Tensor, epoch: int) -> None:
        """Change gradients in place, between backward (unscaled) and step."""

    def on_validation(self, accuracies: Accuracies, epoch: int) -> None:
        """Look at the validation accuracies of the epoch that has just ended."""

    def state_dict(self) -> dict:
        """What a resumed run needs; tensors, numbers, strings, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""


def add_gradient_noise(gradients: Iterable[Tensor], deviations: Iterable[Tensor], generator: torch.Generator) -> None:
    """g <- g + N(0, deviation + 1e-8), in place, one deviation a tensor."""
    for gradient, deviation in zip(gradients, deviations, strict=True):
        noise = torch.randn(gradient.shape, generator=generator, device=gradient.device, dtype=gradient.dtype)
        gradient.addcmul_(noise, deviation + 1e-8)
