"""Operations and an energy estimate of a spiking encoder, beside the same topology as an ANN.

    ANN: every multiply-accumulate (MAC) once.
    SNN: the stem convolution sees real values and is a MAC, computed once; every other convolution sees spikes, each
    of which costs one accumulate (AC) a synapse it reaches: ACs = MACs of one step · T · mean input rate.
    E = 4.6 pJ a MAC, 0.9 pJ an AC: 32-bit floats in 45 nm CMOS (Horowitz, ISSCC 2014).

An estimate of arithmetic alone: no memory traffic, no neuron updates, no norms, no heads or fusion; padding is counted
as if it were signal, in both networks alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MAC_PICOJOULE = 4.6
AC_PICOJOULE = 0.9


@dataclass
class Energy:
    """Per sample, in microjoule, for the encoders' arithmetic."""

    snn_microjoule: float
    ann_microjoule: float
    ratio: float


class OperationCount:
    """Counts the operations of every convolution while it is open; a context manager as FiringRates is.

    The first convolution of an encoder is its stem. The others see spikes, so the mean of their input is the rate, also
    where an encoder averages spikes over time before a convolution that is linear to its end.

    Args:
        encoders: {modality: spiking network of :func:`iemf_snn.resnet18`}.
    """

    def __init__(self, encoders: Mapping[str, nn.Module]) -> None:
        self.encoders = list(encoders.values())
        self.stem_macs = 0
        self.dense_macs = 0  # of one time step, the stem aside
        self.accumulates: Tensor | None = None
        self.handles: list = []

    def __enter__(self) -> "OperationCount":
        for encoder in self.encoders:
            stem, *others = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
            seen: list[int] = []  # samples of the pass under way, for the others
            self.handles.append(stem.register_forward_hook(self._stem_counter(seen)))
            for conv in others:
                self.handles.append(conv.register_forward_hook(self._spike_counter(seen, encoder.time_steps)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _stem_counter(self, seen: list[int]):
        def count(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[:] = [len(output)]
            self.stem_macs += multiply_accumulates(conv, output)

        return count

    def _spike_counter(self, seen: list[int], time_steps: int):
        def count(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            steps = len(output) // seen[0]  # folded into the batch: time_steps, or 1 after an average over them
            macs = multiply_accumulates(conv, output) // steps
            self.dense_macs += macs
            accumulates = inputs[0].mean(dtype=torch.float64) * (macs * time_steps)
            self.accumulates = accumulates if self.accumulates is None else self.accumulates + accumulates

        return count

    def per_sample(self, samples: int) -> dict[str, float]:
        """Mean counts a sample: SNN MACs and ACs, and the MACs of the ANN of this topology.

        Raises:
            ValueError: nothing passed through while it was open.
        """
        if self.accumulates is None:
            raise ValueError("no convolution saw anything while the operations were counted")
        return {
            "snn_macs": self.stem_macs / samples,
            "snn_acs": self.accumulates.item() / samples,
            "ann_macs": (self.stem_macs + self.dense_macs) / samples,
        }


def multiply_accumulates(conv: nn.Conv2d, output: Tensor) -> int:
    """MACs of one convolution call: output elements x fan-in."""
    return output.numel() * conv.in_channels // conv.groups * conv.kernel_size[0] * conv.kernel_size[1]


def energy(operations: Mapping[str, float]) -> Energy:
    """Energy from what :meth:`OperationCount.per_sample` gives."""
    snn = (MAC_PICOJOULE * operations["snn_macs"] + AC_PICOJOULE * operations["snn_acs"]) * 1e-6
    ann = MAC_PICOJOULE * operations["ann_macs"] * 1e-6
    return Energy(snn, ann, snn / ann)
