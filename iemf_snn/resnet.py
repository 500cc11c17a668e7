"""The common ResNet-18 with LIF neurons: T steps of the same input, features averaged over T."""

from functools import partial
from typing import Literal

from spikingjelly.activation_based import functional
from torch import Tensor, nn

from iemf.resnet import NeuronFactory, ResNet18, Stem
from iemf_snn.neuron import LIFNode
from iemf_snn.plif import parametric_lif


class SpikingResNet18(ResNet18):
    """The topology of :mod:`iemf.resnet` over T steps; every pass starts from, and leaves behind, neurons at rest.

    An :class:`LIFNode` is handed its norm, so that the two can be one operation; any other multi-step node of
    SpikingJelly's kind, with a ``v_threshold``, sees what the norm makes. Neurons see [T, B, C, H, W]; convolutions see
    time folded into the batch. The input is the same at every step, so the stem's conv and norm run once, and so does
    the last convolution, on spikes averaged over T.

    The norms' gains start at the neuron's threshold, not at 1, as in threshold-dependent batch norm (Zheng et al.
    2021): the rate of an LIF neuron rises so steeply with its input that gradients otherwise explode on their way
    down, and on noisy input the max-pool over frequent spikes is 1 everywhere, which silences all layers behind it.
    The first block's norm keeps a gain of 1: it sees those pooled spikes, mostly 1, and at half the gain their
    normalised value could not reach the threshold.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        neuron: NeuronFactory,
        time_steps: int,
        norm_gain: float | None = None,
        stem: Stem = "7x7-pool",
    ) -> None:
        super().__init__(in_channels, width, neuron, stem)
        if time_steps < 1:
            raise ValueError(f"time_steps must be >= 1, got {time_steps}")
        self.time_steps = time_steps
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and module is not self.blocks[0].norm1:
                nn.init.constant_(module.weight, self.stem_neuron.v_threshold if norm_gain is None else norm_gain)

    def forward(self, x: Tensor) -> Tensor:
        functional.reset_net(self)  # for neurons other than our stateless ones
        features = super().forward(x)
        functional.reset_net(self)  # lets go of their potentials and graph
        return features

    def fire_stem(self, norm: nn.BatchNorm2d, neuron: nn.Module, x: Tensor) -> Tensor:
        if isinstance(neuron, LIFNode):
            return neuron(x, norm, self.time_steps).flatten(0, 1)
        x = norm(x)
        return neuron(x.expand(self.time_steps, *x.shape)).flatten(0, 1)

    def fire(self, norm: nn.BatchNorm2d, neuron: nn.Module, x: Tensor) -> Tensor:
        if isinstance(neuron, LIFNode):
            return neuron(x.unflatten(0, (self.time_steps, -1)), norm).flatten(0, 1)
        return neuron(norm(x).unflatten(0, (self.time_steps, -1))).flatten(0, 1)

    def over_time(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (self.time_steps, -1)).mean(0)


def resnet18(
    in_channels: int,
    width: int = 64,
    time_steps: int = 4,
    norm_gain: float | None = None,
    stem: Stem = "7x7-pool",
    neuron: Literal["lif", "plif"] = "lif",
    **neuron_options,
) -> SpikingResNet18:
    """[B, in_channels, H, W] -> features [B, 8·width].

    Args:
        in_channels: channels of the input.
        width: channels of the first stage (64 as published).
        time_steps: T, how often the network sees the input (4 as published).
        norm_gain: of every norm at the beginning; None: as :class:`SpikingResNet18` says. The released code has 1.
        stem: one of :data:`iemf.resnet.STEMS`.
        neuron: "plif" learns τ_m in each layer; it has no backends but SpikingJelly's and is several times as slow.
        neuron_options: handed to :class:`LIFNode`, e.g. ``backend="spikingjelly"``, or to :func:`parametric_lif`.
    """
    make = partial(LIFNode, stateless=True, **neuron_options)
    if neuron == "plif":
        make = partial(parametric_lif, **neuron_options)
    return SpikingResNet18(in_channels, width, make, time_steps, norm_gain, stem)
