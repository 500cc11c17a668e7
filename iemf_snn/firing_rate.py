"""Firing rates: how often each LIF neuron fires, per layer, over everything a network sees.

rate of a layer = spikes / (samples · T · neurons),  silent = neurons that never fired / neurons
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from iemf.processes import sum_over_processes
from iemf_snn.neuron import LIFNode


@dataclass
class LayerRate:
    """Of one layer: its modality, its name within the encoder, spikes per neuron and step, the share that is silent."""

    modality: str
    layer: str
    neurons: int
    rate: float
    silent: float


class FiringRates:
    """Counts spikes of every :class:`LIFNode` while it is open; no synchronisation until the rates are read.

    Args:
        encoders: {modality: network}; layers are named within their encoder.

    Use as a context manager around any number of forward passes, then read :meth:`layers` or :meth:`overall`. In a run
    of several processes all of them must read; the counts are summed, and the few samples that a loader repeats to
    give every process as many count twice.
    """

    def __init__(self, encoders: Mapping[str, nn.Module]) -> None:
        self.nodes = [
            (modality, name, module)
            for modality, encoder in encoders.items()
            for name, module in encoder.named_modules()
            if isinstance(module, LIFNode)
        ]
        self.spikes: dict[tuple[str, str], Tensor] = {}
        self.steps: dict[tuple[str, str], int] = {}
        self.handles: list = []

    def __enter__(self) -> "FiringRates":
        for modality, name, module in self.nodes:
            self.handles.append(module.register_forward_hook(self._counter((modality, name))))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _counter(self, key: tuple[str, str]):
        def count(module: LIFNode, inputs: tuple[Tensor, ...], spikes: Tensor) -> None:
            per_neuron = spikes.detach().flatten(0, 1).sum(0, dtype=torch.float32)
            self.spikes[key] = self.spikes[key] + per_neuron if key in self.spikes else per_neuron
            self.steps[key] = self.steps.get(key, 0) + spikes.shape[0] * spikes.shape[1]

        return count

    def layers(self) -> list[LayerRate]:
        """Every layer in the order of the network.

        Raises:
            ValueError: nothing passed through while it was open.
        """
        if not self.spikes:
            raise ValueError("no LIF neuron saw anything while the firing rates were open")
        result = []
        for modality, name, _ in self.nodes:
            counts = sum_over_processes(self.spikes[modality, name].double())
            steps = sum_over_processes(counts.new_full((), self.steps[modality, name]))
            rate = (counts.mean() / steps).item()
            result.append(LayerRate(modality, name, counts.numel(), rate, (counts == 0).double().mean().item()))
        return result

    def overall(self) -> float:
        """Spikes per neuron and step over all layers."""
        layers = self.layers()
        return sum(layer.rate * layer.neurons for layer in layers) / sum(layer.neurons for layer in layers)
