"""A look at the spikes of every validation, so that a network that has fallen silent does not train on unnoticed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from iemf_snn.firing_rate import FiringRates, extremes


class SpikeWatch:
    """Called, it is a context for one validation; it yields what goes into that epoch's record.

    The record has the overall firing rate, 0 to 1. Layers that are silent (more than 99 % of neurons never fired) or
    saturated (rate above 95 %) are warned of once, by name.

    Args:
        modules: {name: network}, as of :class:`iemf_snn.firing_rate.FiringRates`.
        warn: takes the line.
    """

    def __init__(self, modules: Mapping[str, nn.Module], warn: Callable[[str], None]) -> None:
        self.modules, self.warn = modules, warn
        self.told: set[str] = set()

    @contextmanager
    def __call__(self) -> Iterator[Callable[[], dict[str, float]]]:
        with FiringRates(self.modules) as rates:
            yield lambda: self._read(rates)

    def _read(self, rates: FiringRates) -> dict[str, float]:
        line = extremes(rates.layers()).warning()
        if line is not None and line not in self.told:
            self.told.add(line)
            self.warn(f"{line}; such layers pass nothing on; a lower learning rate may help")
        return {"firing_rate": rates.overall()}
