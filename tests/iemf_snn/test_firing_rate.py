"""Firing rates by hand."""

import pytest
import torch
from torch import nn

from iemf_snn import LIFNode
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
