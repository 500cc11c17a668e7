"""What is timed: contestants compute the same, and say what they hold."""

import pytest
import torch

from experiments.benchmark import compiled, contestants
from iemf_snn import LIFNode


@pytest.mark.parametrize("name", ["numba", "torch", "spikingjelly"])
def test_contestants_of_the_same_equation_give_the_same_spikes(name):
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(contestants.multi_step(name, x)(x), LIFNode()(x))


@pytest.mark.skipif(not compiled.available(), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("name", ["plain compiled", "spikingjelly compiled"])
def test_compiled_peers_give_the_same_spikes_and_gradient(name):
    x = torch.randn(4, 2, 3, 5, 5)
    grad, gradients = torch.randn_like(x), []
    for neuron in (contestants.multi_step(name, x), LIFNode(backend="torch")):
        leaf = x.clone().requires_grad_()
        spikes = neuron(leaf)
        assert torch.equal(spikes, LIFNode()(x))
        spikes.backward(grad)
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_snntorch_computes_the_same_neuron():
    pytest.importorskip("snntorch")
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(contestants.multi_step("snntorch", x)(x), LIFNode()(x))


def test_norse_computes_the_same_neuron_with_a_decayed_input():
    pytest.importorskip("norse")
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(contestants.multi_step("norse", x)(2 * x), LIFNode()(x))


def test_peak_memory_is_what_the_tensors_hold():
    def run():
        a = torch.empty(1000)
        b = torch.empty(500)
        del a, b
        torch.empty(1200)

    assert contestants.peak_bytes(run, torch.device("cpu")) == pytest.approx(6000, abs=200)


@pytest.mark.parametrize("name", ["ann", "numba", "spikingjelly"])
def test_a_step_trains(name):
    job = {"what": "step", "batch_size": 2, "image_size": 32, "width": 2, "time_steps": 2}
    answer = contestants.timed(contestants.step(name, job, torch.device("cpu")), torch.device("cpu"))
    assert 0 < answer["iemf_seconds"] < answer["seconds"]
