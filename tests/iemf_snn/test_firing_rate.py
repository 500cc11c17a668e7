"""Firing rates, operation counts and energy by hand."""

import pytest
import torch
from torch import nn

from iemf_snn import LIFNode, resnet18
from iemf_snn.energy import OperationCount, energy, multiply_accumulates
from iemf_snn.firing_rate import FiringRates


def test_rates_by_hand():
    """Three neurons: always, every second step, never."""
    encoder = nn.Sequential(LIFNode())
    x = torch.tensor([0.5, 0.4, 0.0]).expand(4, 2, 3)  # [T, B, neurons]
    with FiringRates({"audio": encoder}) as rates:
        encoder(x)
        encoder[0].reset()
        encoder(x)
    (layer,) = rates.layers()
    assert (layer.modality, layer.layer, layer.neurons) == ("audio", "0", 3)
    assert layer.rate == pytest.approx((1 + 0.5 + 0) / 3)
    assert layer.silent == pytest.approx(1 / 3)
    assert rates.overall() == pytest.approx(0.5)
    encoder[0].reset()
    encoder(torch.ones(4, 2, 3))
    assert rates.overall() == pytest.approx(0.5)  # closed: counts no more


def test_overall_rate_weighs_layers_by_their_neurons():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.narrow = LIFNode(), LIFNode()

        def forward(self, x):
            self.wide(x)
            return self.narrow(torch.zeros(4, 1, 1))

    encoder = Two()
    with FiringRates({"visual": encoder}) as rates:
        encoder(torch.ones(4, 1, 3))
    assert rates.overall() == pytest.approx(3 / 4)


def test_nothing_seen_is_an_error():
    with FiringRates({"audio": nn.Sequential(LIFNode())}) as rates:
        pass
    with pytest.raises(ValueError, match="no LIF neuron"):
        rates.layers()


def test_multiply_accumulates_by_hand():
    conv = nn.Conv2d(3, 8, 5, padding=2)
    assert multiply_accumulates(conv, conv(torch.zeros(2, 3, 7, 7))) == 2 * 8 * 7 * 7 * 3 * 25


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


def test_accumulates_never_exceed_T_times_the_dense_count():
    encoder = resnet18(1, 4)
    with OperationCount({"audio": encoder}) as operations:
        encoder(torch.randn(3, 1, 32, 32))
    counts = operations.per_sample(3)
    assert 0 < counts["snn_acs"] < 4 * (counts["ann_macs"] - counts["snn_macs"])


def test_an_average_over_time_counts_as_the_spikes_it_came_from():
    """The network averages spikes over time before its last convolution; undone, the counts are the same."""
    torch.manual_seed(0)
    encoder, x, counts = resnet18(1, 4), torch.randn(3, 1, 32, 32), []
    for _ in range(2):
        with OperationCount({"audio": encoder}) as operations:
            encoder(x)
        counts.append(operations.per_sample(3))
        encoder.over_time = lambda x: x
    assert counts[0] == pytest.approx(counts[1])
