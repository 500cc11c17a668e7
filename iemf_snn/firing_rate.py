"""Firing rates: how often LIF neurons fire, per layer and over all, in everything a network sees.

    rate of a layer = its spikes / its neuron-steps      a neuron-step: one neuron at one time step of one sample
    overall rate    = all spikes / all neuron-steps      not a mean of layers
    silent          = neurons that never fired / neurons

So for any T and any number of frames. A layer's neurons at two sizes of picture are different neurons: it has the sum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.distributed
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from iemf.processes import sum_over_processes

SILENT = 0.99
SATURATED = 0.95

Key = tuple[str, str, tuple[int, ...]]  # modality, layer, shape of its neurons


@dataclass
class LayerRate:
    """Of one layer: its modality, its name within the encoder, spikes per neuron and step, the share that is silent."""

    modality: str
    layer: str
    neurons: int
    rate: float
    silent: float


class Totals(NamedTuple):
    """Of one layer, over all processes."""

    modality: str
    layer: str
    neurons: int
    silent: int
    spikes: float
    neuron_steps: int


class FiringRates:
    """Counts spikes of every node, ours or SpikingJelly's, while it is open; waits for no device until they are read.

    Nodes emit [T, B, ...] in step mode "m" and [B, ...] in step mode "s"; the rest of the shape is their neurons.

    Args:
        encoders: {modality: network}; layers are named within their encoder.

    Use as a context manager around any number of forward passes, then read :meth:`layers` or :meth:`overall`. In a run
    of several processes all of them must see samples and read; the counts are summed, and the few samples that a loader
    repeats to give every process as many count twice.
    """

    def __init__(self, encoders: Mapping[str, nn.Module]) -> None:
        self.nodes = [
            (modality, name, module)
            for modality, encoder in encoders.items()
            for name, module in encoder.named_modules()
            if isinstance(module, neuron.BaseNode)
        ]
        self.spikes: dict[Key, Tensor] = {}  # of every neuron
        self.steps: dict[Key, int] = {}  # that each of them was seen
        self.handles: list = []

    def __enter__(self) -> "FiringRates":
        for modality, name, module in self.nodes:
            self.handles.append(module.register_forward_hook(self._counter(modality, name)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _counter(self, modality: str, name: str):
        def count(module: neuron.BaseNode, inputs: tuple[Tensor, ...], spikes: Tensor) -> None:
            over_steps = spikes.detach() if module.step_mode == "s" else spikes.detach().flatten(0, 1)
            key = modality, name, tuple(over_steps.shape[1:])
            per_neuron = over_steps.sum(0, dtype=torch.float32)
            self.spikes[key] = self.spikes[key] + per_neuron if key in self.spikes else per_neuron
            self.steps[key] = self.steps.get(key, 0) + len(over_steps)

        return count

    def layers(self) -> list[LayerRate]:
        """Every layer that saw something, in the order of the network.

        Raises:
            ValueError: nothing passed through while it was open.
        """
        return [
            LayerRate(of.modality, of.layer, of.neurons, of.spikes / of.neuron_steps, of.silent / of.neurons)
            for of in self._totals()
        ]

    def overall(self) -> float:
        """All spikes / all neuron-steps.

        Raises:
            ValueError: nothing passed through while it was open.
        """
        totals = self._totals()
        return sum(of.spikes for of in totals) / sum(of.neuron_steps for of in totals)

    def _totals(self) -> list[Totals]:
        if not self.spikes:
            raise ValueError("no spiking neuron saw anything while the firing rates were open")
        device, keys = next(iter(self.spikes.values())).device, _of_all_processes(list(self.spikes))
        steps = sum_over_processes(torch.tensor([self.steps.get(key, 0) for key in keys], device=device)).tolist()
        parts: dict[tuple[str, str], list[tuple[int, int, float, int]]] = {}
        for key, of_neuron in zip(keys, steps, strict=True):
            counts = self.spikes[key].double() if key in self.spikes else torch.zeros(key[2], device=device).double()
            counts = sum_over_processes(counts)
            part = counts.numel(), int((counts == 0).sum()), counts.sum().item(), counts.numel() * of_neuron
            parts.setdefault(key[:2], []).append(part)
        layers = [(modality, name) for modality, name, _ in self.nodes if (modality, name) in parts]
        return [Totals(*layer, *(sum(column) for column in zip(*parts[layer], strict=True))) for layer in layers]


def _of_all_processes(keys: list[Key]) -> list[Key]:
    """The keys of all processes, each once and in the same order in all: pictures of one size may all be in one."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return keys
    gathered: list = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, keys)
    return list(dict.fromkeys(key for of_process in gathered for key in of_process))


class Extremes(NamedTuple):
    """Layers that hand nothing on: "modality layer" of those whose neurons do not fire, and of those that always do."""

    silent: list[str]
    saturated: list[str]

    def warning(self) -> str | None:
        """One line that names them; None where there are none."""
        said = []
        if self.silent:
            said.append(f"silent (more than {100 * SILENT:.0f} % of neurons never fired): {', '.join(self.silent)}")
        if self.saturated:
            said.append(f"saturated (rate above {100 * SATURATED:.0f} %): {', '.join(self.saturated)}")
        return "; ".join(said) or None


def extremes(layers: Iterable[LayerRate]) -> Extremes:
    """The layers of which more than 99 % of neurons never fired, and those whose rate is above 95 %."""
    found = Extremes([], [])
    for each in layers:
        name = f"{each.modality} {each.layer}"
        if each.silent > SILENT:
            found.silent.append(name)
        if each.rate > SATURATED:
            found.saturated.append(name)
    return found
