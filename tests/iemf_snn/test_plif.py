"""The neuron that learns its time constant."""

import torch

from iemf_snn import LIFNode, resnet18
from iemf_snn.firing_rate import FiringRates
from iemf_snn.plif import parametric_lif


def test_at_its_beginning_it_is_the_neuron_of_the_paper():
    """The same spikes and gradient as LIFNode while 1/τ_m = sigmoid(w) is 1/2."""
    x, grad, found = torch.randn(4, 2, 3, 5, 5), torch.randn(4, 2, 3, 5, 5), []
    for node in (parametric_lif(), LIFNode(backend="torch")):
        leaf = x.clone().requires_grad_()
        spikes = node(leaf)
        spikes.backward(grad)
        found.append((spikes.detach(), leaf.grad))
    assert 0 < found[0][0].mean() < 1
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


def test_every_layer_of_the_network_learns_a_time_constant():
    torch.manual_seed(0)
    network = resnet18(1, 4, stem="7x7", neuron="plif")
    constants = [p for p in network.parameters() if p.ndim == 0]
    assert len(constants) == 1 + 2 * 8 + 3  # stem, two a block, three shortcuts
    with FiringRates({"audio": network}) as rates:
        network(torch.randn(2, 1, 32, 32)).square().sum().backward()
    assert len(rates.layers()) == len(constants)
    assert all(constant.grad is not None for constant in constants)
    assert network.stem_neuron.w.grad != 0


def test_passes_start_from_rest():
    torch.manual_seed(0)
    network, x = resnet18(1, 4, neuron="plif").eval(), torch.randn(2, 1, 32, 32)
    assert torch.equal(network(x), network(x))
