"""Firing rates by hand."""

import os
import socket

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch import nn

from iemf_snn import LIFNode
from iemf_snn.firing_rate import FiringRates, LayerRate, extremes


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
    with pytest.raises(ValueError, match="no spiking neuron"):
        rates.layers()


def test_single_steps_count_every_neuron():
    """[B, 2, 3]: six neurons, of which the first row fires at both steps in one sample of two."""
    encoder, x = nn.Sequential(LIFNode(step_mode="s")), torch.zeros(2, 2, 3)
    x[0, 0] = 1
    with FiringRates({"audio": encoder}) as rates:
        encoder(x)
        encoder(x)
    (layer,) = rates.layers()
    assert (layer.neurons, layer.rate, layer.silent) == (6, pytest.approx(6 / 24), pytest.approx(3 / 6))
    assert rates.overall() == pytest.approx(6 / 24)


def test_single_steps_are_those_of_the_multi_step():
    torch.manual_seed(0)
    x, found = torch.rand(4, 5, 2, 3), []
    multi, single = nn.Sequential(LIFNode()), nn.Sequential(LIFNode(step_mode="s"))
    for encoder, inputs in ((multi, [x]), (single, x)):
        with FiringRates({"audio": encoder}) as rates:
            for part in inputs:
                encoder(part)
        found.append((rates.layers(), rates.overall()))
    assert found[0] == found[1]


def test_neurons_of_two_sizes_of_picture_are_different_neurons():
    """2 x 2 at T = 4 in two samples, one neuron always firing; then 1 x 3 at T = 2, two of them always."""
    encoder = nn.Sequential(LIFNode(stateless=True))
    large, small = torch.zeros(4, 2, 1, 2, 2), torch.zeros(2, 1, 1, 1, 3)
    large[..., 0, 0] = 1
    small[..., :2] = 1
    with FiringRates({"visual": encoder}) as rates:
        encoder(large)
        encoder(small)
    (layer,) = rates.layers()
    assert (layer.neurons, layer.silent) == (4 + 3, pytest.approx((3 + 1) / 7))
    assert layer.rate == rates.overall() == pytest.approx((4 * 2 + 2 * 2) / (4 * 4 * 2 + 3 * 2))


def test_overall_is_the_pool_of_all_neuron_steps_of_several_frames():
    """A layer that sees each of three frames, and one that sees their mean: not every neuron is seen equally often."""

    class Frames(nn.Module):
        def __init__(self):
            super().__init__()
            self.each, self.fused = LIFNode(stateless=True), LIFNode(stateless=True)

        def forward(self, x):  # [T, B, frames, neurons]
            self.each(x.flatten(1, 2))
            self.fused(torch.zeros_like(x[:, :, 0]))

    encoder = Frames()
    with FiringRates({"visual": encoder}) as rates:
        encoder(torch.ones(4, 2, 3, 5))
    assert [layer.rate for layer in rates.layers()] == [1, 0]
    spikes = 4 * 2 * 3 * 5
    assert rates.overall() == pytest.approx(spikes / (spikes + 4 * 2 * 5))  # a mean of layers would be 1/2


def test_a_layer_that_saw_nothing_has_no_rate():
    encoder = nn.ModuleList([LIFNode(), LIFNode()])
    with FiringRates({"audio": encoder}) as rates:
        encoder[1](torch.ones(4, 1, 3))
    assert [layer.layer for layer in rates.layers()] == ["1"]


def count_in_process(rank, port, folder):
    """Two processes whose last pictures differ in size."""
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    encoder = nn.Sequential(LIFNode(stateless=True))
    with FiringRates({"visual": encoder}) as rates:
        encoder(torch.eye(2)[rank].expand(4, 1, 2))  # one neuron fires here, the other there
        if rank == 1:
            encoder(torch.zeros(4, 3, 5))
    torch.save((rates.layers(), rates.overall()), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_count_together_whatever_sizes_each_has_seen(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    torch.multiprocessing.spawn(count_in_process, (port, str(tmp_path)), nprocs=2)
    results = [torch.load(tmp_path / name, weights_only=False) for name in sorted(os.listdir(tmp_path))]
    assert results[0] == results[1]
    (layer,), overall = results[0]
    assert (layer.neurons, layer.silent) == (2 + 5, pytest.approx(5 / 7))
    assert layer.rate == overall == pytest.approx(8 / (2 * 8 + 5 * 12))


def test_silent_and_saturated_layers_by_name():
    def layer(name, rate, silent):
        return LayerRate("audio", name, 1000, rate, silent)

    layers = [layer("a", 0.2, 0.1), layer("b", 0.0, 1.0), layer("c", 0.001, 0.99), layer("d", 0.001, 0.991),
              layer("e", 0.95, 0.0), layer("f", 0.951, 0.0)]  # fmt: skip
    found = extremes(layers)
    assert (found.silent, found.saturated) == (["audio b", "audio d"], ["audio f"])
    assert found.warning() == "silent (more than 99 % of neurons never fired): audio b, audio d; " \
                              "saturated (rate above 95 %): audio f"  # fmt: skip
    assert extremes(layers[5:]).warning() == "saturated (rate above 95 %): audio f"
    assert extremes(layers[:1]) == ([], [])
    assert extremes(layers[:1]).warning() is None
