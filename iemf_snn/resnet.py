"""The common ResNet-18 with LIF neurons: T steps of the same input, features averaged over T."""

from functools import partial

from spikingjelly.activation_based import functional
from torch import Tensor

from iemf.resnet import ResNet18
from iemf_snn.neuron import LIFNode


class SpikingResNet18(ResNet18):
    """The topology of :mod:`iemf.resnet`; every pass starts from, and leaves behind, neurons at rest."""

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)
        features = super().forward(x)
        functional.reset_net(self)  # lets go of the potentials and their graph
        return features


def resnet18(in_channels: int, width: int = 64, time_steps: int = 4, **neuron_options) -> SpikingResNet18:
    """[B, in_channels, H, W] -> features [B, 8·width].

    Args:
        in_channels: channels of the input.
        width: channels of the first stage (64 as published).
        time_steps: T, how often the network sees the input (4 as published).
        neuron_options: handed to :class:`LIFNode`, e.g. ``backend="spikingjelly"``.
    """
    return SpikingResNet18(in_channels, width, partial(LIFNode, **neuron_options), time_steps)
