"""Operation counts and energy: by hand, against a count of every synapse one by one, and of the published topology."""

import itertools

import pytest
import torch
from torch import nn

from iemf.fusion import ConcatFusion
from iemf.network import AudioVisualNetwork
from iemf_snn import LIFNode, resnet18
from iemf_snn.energy import OperationCount, energy, readers


def test_readers_by_hand():
    """5 positions, kernel 3, stride 2, padding 1: the outputs see (-1, 0, 1), (1, 2, 3), (3, 4, 5)."""
    assert readers(5, 3, 3, stride=2, padding=1).tolist() == [1, 2, 1, 2, 1]
    assert readers(4, 4, 3, stride=1, padding=1).tolist() == [2, 3, 3, 2]
    assert readers(5, 2, 2, stride=3, dilation=1).tolist() == [1, 1, 0, 1, 1]  # position 2 is skipped
    assert readers(5, 1, 3, dilation=2).tolist() == [1, 0, 1, 0, 1]
    assert readers(1, 1, 3, padding=1).tolist() == [1]  # two of three taps see padding
    assert readers(1, 2, 3, padding=3, stride=4).tolist() == [0]  # both outputs see padding alone


def synapses(conv, x):
    """Every pair of an input element and an output element that reads it, one by one: (all, those of weight x)."""
    taps, reached = 0, 0.0
    outputs = conv(x)
    fan_in, fan_out = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    for n, out, top, left in itertools.product(*map(range, outputs.shape)):
        for c, i, j in itertools.product(range(fan_in), *map(range, conv.kernel_size)):
            row = top * conv.stride[0] - conv.padding[0] + i * conv.dilation[0]
            column = left * conv.stride[1] - conv.padding[1] + j * conv.dilation[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                taps += 1
                reached += x[n, out // fan_out * fan_in + c, row, column].item()
    return taps, reached


class Tiny(nn.Module):
    """A stem, then convolutions that see random spikes: stride 2, padding 1 and 3, groups, dilation, a kernel 1 x 3."""

    def __init__(self, time_steps, averaged):
        super().__init__()
        self.time_steps, self.averaged = time_steps, averaged
        self.stem = nn.Conv2d(2, 4, 7, stride=2, padding=3)
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(4, 6, 3, stride=2, padding=1),
                nn.Conv2d(4, 2, 7, padding=3, groups=2),
                nn.Conv2d(4, 3, (1, 3), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
            ]
        )
        self.last = nn.Conv2d(4, 2, 3, padding=1)
        self.seen = []

    def forward(self, x):  # [B, 2, H, W], or [B, frames, 2, H, W]
        y = self.stem(x if x.dim() == 4 else x.flatten(0, 1))
        spikes = (torch.rand(self.time_steps, *y.shape) < 0.3).float().flatten(0, 1)
        self.seen.append((y, x, spikes))
        for conv in self.convs:
            conv(spikes)
        over_time = spikes.unflatten(0, (self.time_steps, -1)).mean(0)
        return self.last(over_time if self.averaged else spikes)


@pytest.mark.parametrize(("time_steps", "averaged"), [(4, True), (3, True), (2, False), (1, False)])
def test_operations_are_those_of_a_count_one_by_one(time_steps, averaged):
    """A ragged last batch of another size of picture, and one of several frames."""
    torch.manual_seed(0)
    encoder, stem_macs, dense_macs, accumulates = Tiny(time_steps, averaged), 0, 0, 0.0
    with OperationCount({"audio": encoder}) as operations:
        for shape in ((2, 2, 9, 12), (1, 2, 6, 5), (1, 2, 2, 9, 12)):
            encoder(torch.randn(shape))
    for _, x, spikes in encoder.seen:
        stem_macs += synapses(encoder.stem, x.reshape(-1, *x.shape[-3:]))[0]
        for conv in (*encoder.convs, encoder.last):
            taps, reached = synapses(conv, spikes)
            dense_macs += taps // time_steps
            accumulates += reached
    counts = operations.per_sample(4)
    assert accumulates > 0
    assert counts == {
        "snn_macs": stem_macs / 4,
        "snn_acs": accumulates / 4,
        "ann_macs": (stem_macs + dense_macs) / 4,
    }


def test_a_spike_in_the_corner_reaches_fewer_synapses():
    """Two spikes, one of four readers a channel and one of nine."""

    class Encoder(nn.Module):
        time_steps = 1

        def __init__(self):
            super().__init__()
            self.stem, self.conv = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x):
            self.stem(x)
            return self.conv(x)

    encoder, image = Encoder(), torch.zeros(1, 1, 4, 4)
    image[0, 0, 0, 0] = image[0, 0, 1, 2] = 1
    with OperationCount({"visual": encoder}) as operations:
        encoder(image)
    # (2 + 3 + 3 + 2)² pairs of a position and a tap inside, 2 channels; 16 of the stem
    assert operations.per_sample(1) == {"snn_macs": 16, "snn_acs": 2 * (4 + 9), "ann_macs": 16 + 200}


def test_the_topology_of_32_by_32_pictures_without_padding():
    """Width 16, one encoder; with padding counted as signal it would be 2 363 392.

    The stem: 4 + 6 + 13·7 + 5 = 106 taps a dimension on the picture, not 16·7; squared, times 16 channels.
    """
    encoder = resnet18(1, 16)
    with OperationCount({"audio": encoder}) as operations:
        encoder(torch.randn(3, 1, 32, 32))
    counts = operations.per_sample(3)
    assert (counts["snn_macs"], counts["ann_macs"]) == (179_776, 179_776 + 1_219_072)


def test_a_convolution_that_does_not_pad_with_zeros_is_refused():
    for options in ({"padding": "same"}, {"padding": 1, "padding_mode": "reflect"}):
        with pytest.raises(ValueError, match="pads with zeros"):
            OperationCount({"audio": nn.Sequential(nn.Conv2d(1, 1, 3, **options))})


def test_operations_of_a_two_layer_network_by_hand():
    class Encoder(nn.Module):
        time_steps = 4

        def __init__(self):
            super().__init__()
            self.stem, self.lif, self.conv = nn.Conv2d(1, 1, 1, bias=False), LIFNode(), nn.Conv2d(1, 2, 1, bias=False)
            nn.init.ones_(self.stem.weight)

        def forward(self, x):  # [B, 1, H, W]
            spikes = self.lif(self.stem(x).expand(4, *x.shape))
            return self.conv(spikes.flatten(0, 1))

    encoder = Encoder()
    image = torch.tensor([0.5, 0.4, 0.0, 0.0]).view(1, 1, 2, 2)  # fires 4, 2, 0, 0 times
    with OperationCount({"audio": encoder}) as operations:
        encoder(image)
    counts = operations.per_sample(1)
    # stem: 4 positions; conv: 4 positions x 2 outputs a step; 6 spikes x 2 synapses
    assert counts == {"snn_macs": 4, "snn_acs": 12, "ann_macs": 4 + 8}
    cost = energy(counts)
    assert cost.snn_microjoule == pytest.approx((4 * 4.6 + 12 * 0.9) * 1e-6)
    assert cost.ann_microjoule == pytest.approx(12 * 4.6e-6)
    assert cost.ratio == pytest.approx((4 * 4.6 + 12 * 0.9) / (12 * 4.6))


def test_heads_and_fusion_are_multiply_accumulates_of_both_networks():
    """Concat of 2 x 32 features to 3 classes, two heads of 32 to 3; a ragged last batch."""
    torch.manual_seed(0)
    encoders = resnet18(1, 4), resnet18(1, 4)
    network = AudioVisualNetwork(*encoders, ConcatFusion(32, 3), 32, 3, train_encoders_by_heads=True)
    counts = []
    for readouts in ((), (network.fusion, *network.heads.values())):
        torch.manual_seed(0)
        with OperationCount(network.encoders, readouts) as operations:
            for size in (2, 1):
                network(torch.randn(size, 1, 32, 32), torch.randn(size, 1, 32, 32))
        counts.append(operations.per_sample(3))
    without, counted = counts
    macs = 64 * 3 + 2 * 32 * 3
    assert counted == {"snn_macs": without["snn_macs"] + macs, "snn_acs": without["snn_acs"],
                       "ann_macs": without["ann_macs"] + macs}  # fmt: skip


def test_accumulates_never_exceed_T_times_the_dense_count():
    encoder = resnet18(1, 4)
    with OperationCount({"audio": encoder}) as operations:
        encoder(torch.randn(3, 1, 32, 32))
    counts = operations.per_sample(3)
    assert 0 < counts["snn_acs"] < 4 * (counts["ann_macs"] - counts["snn_macs"])


def test_an_average_over_time_counts_as_the_spikes_it_came_from():
    """The network averages spikes over time before its last convolution; undone, the counts are the same."""
    torch.manual_seed(0)
    encoder, x, counts = resnet18(1, 4, time_steps=3), torch.randn(3, 1, 32, 32), []
    for _ in range(2):
        with OperationCount({"audio": encoder}) as operations:
            encoder(x)
        counts.append(operations.per_sample(3))
        encoder.over_time = lambda x: x
    assert counts[0] == counts[1]


def test_nothing_seen_is_an_error():
    with OperationCount({"audio": resnet18(1, 4)}) as operations:
        pass
    with pytest.raises(ValueError, match="no convolution"):
        operations.per_sample(1)
