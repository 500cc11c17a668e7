"""The LIF neuron: by hand, against SpikingJelly's own node, and as a SpikingJelly module."""

import importlib.metadata
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, layer, monitor

from iemf_snn import LIFNode, kernels, resnet18
from iemf_snn.functional import LIFParameters, lif_backward, lif_forward, surrogate_derivative
from iemf_snn.kernels.spikingjelly_node import plain_node
from iemf_snn.resnet import SpikingResNet18


def that_run_on(device):
    return [n for n, b in kernels.BACKENDS.items() if b.unavailable(torch.device(device), torch.float32) is None]


BACKENDS = that_run_on("cpu")


def test_the_spikingjelly_that_was_asked_for_is_the_one_tested():
    """Set by the continuous integration, which runs these tests with two generations of it."""
    expected = os.environ.get("SPIKINGJELLY")
    if expected is not None:
        assert importlib.metadata.version("spikingjelly") == expected
    else:
        assert int(importlib.metadata.version("spikingjelly").split(".")[0]) >= 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_fixture_of_equation_3(backend):
    """Input 0.4: u_pre = 0.4, 0.6 (fires), 0.4, 0.6 (fires)."""
    assert LIFNode(backend=backend)(torch.full((4, 1), 0.4)).flatten().tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_released_node_never_fires_on_it(backend):
    assert LIFNode(decay_input=True, backend=backend)(torch.full((4, 1), 0.4)).sum() == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_four_steps_unrolled_by_hand(backend):
    """I = 0.3, 0.3, 0.9, 0.2 with upstream gradient 1, 2, 3, 4 on the spikes.

    u_pre = 0.3 | 0.15 + 0.3 = 0.45 | 0.225 + 0.9 = 1.125 (fires, reset) | 0 + 0.2 = 0.2
    ds/du = 2 - 4·|u - 0.5| = 1.2 | 1.8 | 0 (2 - 2.5 < 0) | 0.8
    g_u[4] = 4·0.8                  = 3.2     c[3] = 1.6
    g_u[3] = 3·0 + (1 - 1)·1.6      = 0       c[2] = 0
    g_u[2] = 2·1.8 + 0              = 3.6     c[1] = 1.8
    g_u[1] = 1·1.2 + 1.8            = 3.0     c[0] = 1.5
    """
    x = torch.tensor([0.3, 0.3, 0.9, 0.2])[:, None].requires_grad_()
    spikes = LIFNode(backend=backend)(x)
    assert spikes.flatten().tolist() == [0, 0, 1, 0]
    spikes.backward(torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None])
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([3.0, 3.6, 0.0, 3.2]))


def test_the_pure_functions_give_the_same_numbers():
    p = LIFParameters()
    x = torch.tensor([0.3, 0.3, 0.9, 0.2])
    spikes, u_pre, v = lif_forward(x, torch.tensor(0.0), p)
    torch.testing.assert_close(u_pre, torch.tensor([0.3, 0.45, 1.125, 0.2]))
    assert (spikes.tolist(), v.item()) == ([0, 0, 1, 0], pytest.approx(0.2))
    grad_x, grad_v = lif_backward(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor(10.0), u_pre, p)
    # the gradient of u[4] adds (1 - s[4])·10 to g_u[4]
    torch.testing.assert_close(grad_x, torch.tensor([3.0, 3.6, 0.0, 13.2]))
    assert grad_v.item() == pytest.approx(1.5)


def test_surrogate_derivative_is_the_triangle():
    u = torch.tensor([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0])
    assert surrogate_derivative(u, LIFParameters()).tolist() == [0, 0, 1, 2, 1, 0, 0]


def test_a_potential_exactly_at_threshold_fires():
    assert LIFNode(backend="torch")(torch.full((1, 1), 0.5)).item() == 1


constants = st.fixed_dictionaries(
    {
        "tau": st.sampled_from([1.5, 2.0, 3.0]),
        "v_threshold": st.sampled_from([0.5, 1.0]),
        "v_reset": st.sampled_from([0.0, -0.1, 0.2]),
        "decay_input": st.booleans(),
        "alpha": st.sampled_from([1.0, 2.0]),
    }
)


@pytest.mark.parametrize("backend", ["torch", "numba"])
@given(options=constants, steps=st.integers(1, 8), size=st.integers(1, 70), seed=st.integers(0, 2**31))
def test_equal_to_spikingjelly_on_random_input(backend, options, steps, size, seed):
    torch.manual_seed(seed)
    x, upstream = torch.randn(steps, size), torch.randn(steps, size)
    ours, theirs = LIFNode(**options, backend=backend), plain_node(LIFParameters(**options))
    gradients, spikes = [], []
    for node in (ours, theirs):
        leaf = x.clone().requires_grad_()
        spikes.append(node(leaf))
        spikes[-1].backward(upstream)
        gradients.append(leaf.grad)
    assert torch.equal(*spikes)
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=2e-6)
    torch.testing.assert_close(ours.v, theirs.v)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_gradient_matches_spikingjelly_to_1e_6_as_published(backend):
    x, upstream = torch.randn(4, 5000), torch.randn(4, 5000)
    gradients = []
    for node in (LIFNode(backend=backend), plain_node(LIFParameters())):
        leaf = x.clone().requires_grad_()
        node(leaf).backward(upstream)
        gradients.append(leaf.grad)
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-6


def test_gradient_flows_from_call_to_call_until_reset():
    x = torch.randn(6, 10)
    whole, parts = LIFNode(), LIFNode()
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    spikes = torch.cat([parts(b[:2]), parts(b[2:])])
    assert torch.equal(whole(a), spikes)
    weight = torch.randn(6, 10)
    whole.reset()
    (whole(a) * weight).sum().backward()
    (spikes * weight).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


def test_single_steps_equal_the_multi_step():
    x = torch.rand(5, 8)
    single, multi = LIFNode(step_mode="s"), LIFNode()
    assert torch.equal(torch.stack([single(step) for step in x]), multi(x))
    functional.set_step_mode(single, "m")
    functional.reset_net(single)
    assert torch.equal(single(x), LIFNode()(x))


def test_reset_net_and_state():
    node, x = LIFNode(), torch.full((3, 2), 0.4)
    first = node(x)
    assert not torch.equal(node(x), first)  # the potential is carried over
    functional.reset_net(node)
    assert torch.equal(node(x), first)
    assert torch.equal(node(torch.full((3, 7), 0.4))[:, :2], first)  # another shape starts at rest


def test_spikingjellys_monitor_sees_the_spikes():
    network = torch.nn.Sequential(layer.Linear(4, 3, step_mode="m"), LIFNode())
    watch = monitor.OutputMonitor(network, LIFNode)
    spikes = network(torch.rand(4, 2, 4) * 3)
    assert torch.equal(watch.records[0], spikes)


def test_potentials_can_be_monitored():
    node, theirs = LIFNode(), plain_node(LIFParameters())
    x = torch.rand(4, 30)
    for n in (node, theirs):
        n.store_v_seq = True
        n(x)
    torch.testing.assert_close(node.v_seq, theirs.v_seq)
    watch = monitor.AttributeMonitor("v_seq", False, node, LIFNode)
    node.reset()
    node(x)
    torch.testing.assert_close(watch.records[0], theirs.v_seq)


def test_every_lif_of_the_network_emits_zeros_and_ones():
    network, seen = resnet18(1, 8), []
    for module in network.modules():
        if isinstance(module, LIFNode):
            module.register_forward_hook(lambda m, i, spikes: seen.append(spikes.detach()))
    network(torch.randn(4, 1, 32, 32))
    assert len(seen) == 20
    for spikes in seen:
        assert spikes.shape[:2] == (4, 4)
        assert set(spikes.unique().tolist()) <= {0.0, 1.0}
    assert sum(s.mean() for s in seen) > 0


def test_no_state_leaks_from_batch_to_batch():
    network = resnet18(1, 8).eval()
    x, other = torch.randn(4, 1, 32, 32), torch.randn(4, 1, 32, 32)
    first = network(x)
    network(other)
    assert torch.equal(network(x), first)
    assert all(isinstance(m.v, float) for m in network.modules() if isinstance(m, LIFNode))


def test_any_multi_step_node_fits_into_the_network():
    """SpikingJelly's own LIF in every place, reset around every pass, gives what ours gives."""
    features = []
    x = torch.randn(4, 1, 32, 32)
    for neuron in (lambda: LIFNode(backend="torch"), lambda: plain_node(LIFParameters())):
        torch.manual_seed(0)
        network = SpikingResNet18(1, 4, neuron, time_steps=4).eval()
        network(torch.randn(4, 1, 32, 32))
        features.append(network(x))
    torch.testing.assert_close(*features)


def test_norms_start_at_the_threshold():
    network = resnet18(1, 4)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert (module.weight == (1.0 if module is network.blocks[0].norm1 else 0.5)).all()


@pytest.mark.parametrize("time_steps", [2, 4])
def test_no_layer_is_dead_at_the_start(time_steps):
    torch.manual_seed(0)
    network, rates = resnet18(1, 8, time_steps=time_steps), []
    for module in network.modules():
        if isinstance(module, LIFNode):
            module.register_forward_hook(lambda m, i, spikes: rates.append(spikes.mean().item()))
    network(torch.randn(16, 1, 32, 32))
    assert all(0.02 < rate < 0.7 for rate in rates), rates


def test_gains_of_one_would_silence_every_layer_behind_the_pool():
    """Why the norms start at the threshold: on pure noise nothing fires after the stem otherwise."""
    torch.manual_seed(0)
    network, rates = resnet18(1, 8), []
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
        if isinstance(module, LIFNode):
            module.register_forward_hook(lambda m, i, spikes: rates.append(spikes.mean().item()))
    network(torch.randn(16, 1, 32, 32))
    assert rates[0] > 0.2
    assert max(rates[1:]) < 0.01


@pytest.mark.parametrize("backend", ["torch", "auto"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_integrated_in_float32(backend, dtype):
    x = torch.rand(4, 100).to(dtype)
    node = LIFNode(backend=backend, v_reset=0.1)
    spikes = node(x)
    assert (spikes.dtype, node.v.dtype) == (dtype, torch.float32)
    assert torch.equal(spikes.float(), LIFNode(backend="torch", v_reset=0.1)(x.float()))


def test_backends_agree_within_the_network():
    x = torch.randn(3, 1, 32, 32)
    outputs = []
    for backend in BACKENDS:
        torch.manual_seed(0)
        outputs.append(resnet18(1, 4, backend=backend)(x))
    for output in outputs[1:]:
        torch.testing.assert_close(output, outputs[0])


def test_auto_takes_the_best_that_can_run(monkeypatch):
    class Broken:
        @staticmethod
        def unavailable(device, dtype):
            return "it is broken"

    monkeypatch.setitem(kernels.BACKENDS, "broken", Broken)
    monkeypatch.setitem(kernels.PREFERENCE, "cpu", ["broken", "torch"])
    assert kernels.choose("auto", torch.device("cpu"), torch.float32) is kernels.torch_reference
    with pytest.raises(RuntimeError, match="it is broken"):
        kernels.choose("broken", torch.device("cpu"), torch.float32)


def test_auto_on_the_cpu_is_numba_where_it_can():
    cpu = torch.device("cpu")
    for dtype in (torch.float32, torch.bfloat16):
        assert kernels.choose("auto", cpu, dtype) is kernels.numba_cpu
    for dtype in (torch.float64, torch.float16):
        assert kernels.choose("auto", cpu, dtype) is kernels.torch_reference
    with pytest.raises(RuntimeError, match="float32 and bfloat16, not"):
        LIFNode(backend="numba")(torch.zeros(4, 1, dtype=torch.float64))
    with pytest.raises(RuntimeError, match="it runs on CUDA"):
        LIFNode(backend="cupy")(torch.zeros(4, 1))


def test_a_stateless_neuron_starts_every_call_at_rest():
    node, x = LIFNode(stateless=True), torch.full((3, 2), 0.4)
    first = node(x)
    assert torch.equal(node(x), first)
    assert node.v == 0.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_time_steps_shows_one_input_at_every_step(backend):
    x = torch.rand(2, 7)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    shown, expanded = LIFNode(backend=backend)(a, time_steps=4), LIFNode(backend=backend)(b.expand(4, 2, 7))
    assert torch.equal(shown, expanded)
    weight = torch.randn(4, 2, 7)
    (shown * weight).sum().backward()
    (expanded * weight).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(
    ("options", "message"), [({"tau": 1.0}, "tau"), ({"v_reset": None}, "v_reset"), ({"backend": "cuda"}, "backend")]
)
def test_bad_constants_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LIFNode(**options)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", that_run_on("cuda"))
def test_cuda_equals_cpu(backend):
    x, upstream = torch.randn(4, 4099), torch.randn(4, 4099)
    results = []
    for device, name in (("cpu", "torch"), ("cuda", backend)):
        leaf = x.to(device).requires_grad_()
        spikes = LIFNode(backend=name)(leaf)
        spikes.backward(upstream.to(device))
        results.append((spikes.cpu(), leaf.grad.cpu()))
    assert torch.equal(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-6, atol=1e-6)
