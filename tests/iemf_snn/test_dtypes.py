"""What the LIF neuron makes of integers, truth values and complex numbers, in every backend."""

import pytest
import torch
from torch import nn

from iemf_snn import LIFNode, kernels
from iemf_snn.functional import LIFParameters, lif_forward
from iemf_snn.kernels.spikingjelly_node import plain_node
from iemf_snn.rate import RateCoded

CPU = torch.device("cpu")
BACKENDS = [*(name for name, b in kernels.BACKENDS.items() if b.unavailable(CPU, torch.float32) is None), "auto"]
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_potentials_of_integers_are_not_truncated(backend, dtype):
    """Input -1, 1, 0, 1: u_pre = -1, .5 (fires), 0, 1 (fires). Input 1, 0, 0 at θ = 1.5 leaves u = .25."""
    x = torch.tensor([-1, 1, 0, 1])[:, None]
    node = LIFNode(backend=backend)
    spikes = node(x.to(dtype))
    assert spikes.dtype == torch.float32
    assert torch.equal(spikes, torch.tensor([[0.0], [1.0], [0.0], [1.0]]))
    assert torch.equal(spikes, plain_node(LIFParameters())(x))
    node = LIFNode(v_threshold=1.5, backend=backend)
    node(torch.tensor([[1], [0], [0]], dtype=dtype))
    assert (node.v.dtype, node.v.tolist()) == (torch.float32, [0.25])


@pytest.mark.parametrize("backend", BACKENDS)
def test_truth_values_are_ones_and_zeros(backend):
    x = torch.tensor([[True, False], [False, True], [True, True]])
    spikes = LIFNode(v_threshold=1.25, backend=backend)(x)
    assert spikes.tolist() == [[0, 0], [0, 0], [1, 1]]  # u_pre = 1, .5, 1.25 and 0, 1, 1.5
    assert spikes.dtype == torch.float32


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_step_at_a_time_and_rates_take_integers_too(backend):
    node = LIFNode(step_mode="s", backend=backend)
    assert [node(torch.tensor([i])).item() for i in (-1, 1, 0, 1)] == [0, 1, 0, 1]
    assert RateCoded(4, v_threshold=1.75, backend=backend)(torch.tensor([[1, 0]])).tolist() == [[0.25, 0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("time_steps", [None, 3])
def test_a_norm_before_it_takes_integers_too(backend, time_steps):
    x = torch.randint(-3, 4, (2, 3, 4, 4) if time_steps else (3, 2, 3, 4, 4))
    node = LIFNode(stateless=True, backend=backend)
    found = node(x, nn.BatchNorm2d(3), time_steps)
    assert torch.equal(found, node(x.float(), nn.BatchNorm2d(3), time_steps))


def test_monitored_potentials_are_those_of_the_float_input():
    node = LIFNode(v_threshold=1.5)
    node.store_v_seq = True
    node(torch.tensor([[1], [0], [2]]))
    assert node.v_seq.tolist() == [[1], [0.5], [0]]


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.bool])
def test_the_pure_function_computes_integers_in_float32(dtype):
    x = torch.tensor([1, 0, 1]).to(dtype)
    spikes, u_pre, v = lif_forward(x, torch.tensor(0.0), LIFParameters(v_threshold=1.25))
    assert {each.dtype for each in (spikes, u_pre, v)} == {torch.float32}
    assert (spikes.tolist(), u_pre.tolist(), v.item()) == ([0, 0, 1], [1, 0.5, 1.25], 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("step_mode", ["m", "s"])
def test_complex_numbers_are_refused(backend, step_mode):
    with pytest.raises(TypeError, match=r"real numbers, not torch\.complex64"):
        LIFNode(backend=backend, step_mode=step_mode)(torch.zeros(4, 1, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"real numbers, not torch\.complex128"):
        lif_forward(torch.zeros(4, 1, dtype=torch.complex128), torch.zeros(1), LIFParameters())
