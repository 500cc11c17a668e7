"""Operations and an energy estimate of a spiking network, beside the same topology as an ANN.

    ANN: every multiply-accumulate (MAC) once.
    SNN: the stem convolution sees real values and is a MAC, computed once; every other convolution sees spikes, each
    of which costs one accumulate (AC) a synapse it reaches: the outputs, in place and channel, that read its position.
    Heads and fusion see real features, the mean over time: MACs once, in both networks.
    E = 4.6 pJ a MAC, 0.9 pJ an AC: 32-bit floats in 45 nm CMOS (Horowitz, ISSCC 2014).

Kernel taps that lie on padding are no operations, in either network. An estimate of arithmetic alone: no memory
traffic, no neuron updates, no norms.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MAC_PICOJOULE = 4.6
AC_PICOJOULE = 0.9


@dataclass
class Energy:
    """Per sample, in microjoule."""

    snn_microjoule: float
    ann_microjoule: float
    ratio: float


class OperationCount:
    """Counts the operations of convolutions and heads while it is open; a context manager as FiringRates is.

    The first convolution of an encoder is its stem. The others see spikes, or their mean over time where an encoder
    averages before a convolution that is linear to its end; that counts as the spikes it came from. The device is not
    waited for until the counts are read.

    Args:
        encoders: {modality: spiking network of :func:`iemf_snn.resnet18`}.
        readouts: modules whose linear layers see features, i.e. heads and fusion.

    Raises:
        ValueError: a convolution that does not pad with zeros, by a number of them.
    """

    def __init__(self, encoders: Mapping[str, nn.Module], readouts: Iterable[nn.Module] = ()) -> None:
        self.encoders = [(encoder, _convolutions(encoder)) for encoder in encoders.values()]
        self.linears = [m for readout in readouts for m in readout.modules() if isinstance(m, nn.Linear)]
        self.linear_macs = 0
        self.stem_macs = 0
        self.dense_macs = 0  # of one time step, the stem aside
        # Spikes a position [H, W], of every convolution, size of input and size of output.
        self.spikes: dict[tuple[nn.Conv2d, torch.Size, torch.Size], Tensor] = {}
        self.handles: list = []

    def __enter__(self) -> "OperationCount":
        for encoder, (stem, *others) in self.encoders:
            seen: list[int] = []  # samples of the pass under way, for the others
            self.handles.append(stem.register_forward_hook(self._stem_counter(seen)))
            for conv in others:
                self.handles.append(conv.register_forward_hook(self._spike_counter(seen, encoder.time_steps)))
        self.handles += [linear.register_forward_hook(self._count_linear) for linear in self.linears]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _count_linear(self, linear: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.linear_macs += output.numel() * linear.in_features

    def _stem_counter(self, seen: list[int]):
        def count(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[:] = [len(output)]
            self.stem_macs += len(output) * multiply_accumulates(conv, inputs[0].shape[2:], output.shape[2:])

        return count

    def _spike_counter(self, seen: list[int], time_steps: int):
        def count(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            (x,), steps = inputs, len(output) // seen[0]  # in the batch: time_steps, or 1 after an average over them
            key = conv, x.shape[2:], output.shape[2:]
            self.dense_macs += seen[0] * multiply_accumulates(*key)
            x = x.detach() if steps == time_steps else (x.detach() * time_steps).round_()  # thirds are not exact
            spikes = x.sum((0, 1), dtype=torch.float64)
            self.spikes[key] = self.spikes[key] + spikes if key in self.spikes else spikes

        return count

    def per_sample(self, samples: int) -> dict[str, float]:
        """Mean counts a sample: SNN MACs and ACs, and the MACs of the ANN of this topology.

        Raises:
            ValueError: nothing passed through while it was open.
        """
        if not self.spikes:
            raise ValueError("no convolution saw anything while the operations were counted")
        accumulates = sum((spikes.cpu() * synapses(*key)).sum().item() for key, spikes in self.spikes.items())
        return {
            "snn_macs": (self.stem_macs + self.linear_macs) / samples,
            "snn_acs": accumulates / samples,
            "ann_macs": (self.stem_macs + self.dense_macs + self.linear_macs) / samples,
        }


def _convolutions(encoder: nn.Module) -> list[nn.Conv2d]:
    convs = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
    for conv in convs:
        if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise ValueError(f"operations are counted where a convolution pads with zeros, by a number: not of {conv}")
    return convs


def readers(size: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> Tensor:
    """How many (output, tap) pairs of a convolution read each input position along one dimension: [size], int64.

    Output o reads with tap j the position o·stride - padding + j·dilation; where that lies outside it reads padding.
    """
    position = torch.arange(outputs)[:, None] * stride - padding + torch.arange(kernel) * dilation
    inside = position[(position >= 0) & (position < size)]
    return torch.bincount(inside, minlength=size)


def synapses(conv: nn.Conv2d, of_input: torch.Size, of_output: torch.Size) -> Tensor:
    """Synapses that a spike reaches in a convolution, by its position: [H, W], int64, the same for every channel.

    Args:
        conv: pads with zeros.
        of_input, of_output: their (H, W).
    """
    of_rows, of_columns = (
        readers(size, outputs, kernel, stride=stride, padding=padding, dilation=dilation)
        for size, outputs, kernel, stride, padding, dilation in zip(
            of_input, of_output, conv.kernel_size, conv.stride, conv.padding, conv.dilation, strict=True
        )
    )
    return torch.outer(of_rows, of_columns) * (conv.out_channels // conv.groups)


def multiply_accumulates(conv: nn.Conv2d, of_input: torch.Size, of_output: torch.Size) -> int:
    """MACs of a convolution on one sample, from (H, W) of its input and output: all synapses of the input."""
    return conv.in_channels * int(synapses(conv, of_input, of_output).sum())


def energy(operations: Mapping[str, float]) -> Energy:
    """Energy from what :meth:`OperationCount.per_sample` gives."""
    snn = (MAC_PICOJOULE * operations["snn_macs"] + AC_PICOJOULE * operations["snn_acs"]) * 1e-6
    ann = MAC_PICOJOULE * operations["ann_macs"] * 1e-6
    return Energy(snn, ann, snn / ann)
