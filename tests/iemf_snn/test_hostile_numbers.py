"""The LIF neuron, forward and backward: extreme numbers, empty batches, every dtype, constants that are no numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iemf_snn import LIFNode, kernels
from iemf_snn.functional import LIFParameters, lif_backward, lif_forward

CPU = torch.device("cpu")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
EXTREME = st.sampled_from([0.0, 0.5, -0.5, 1e-7, 60000.0, -60000.0]) | st.floats(-2, 2, width=16)


@given(st.integers(1, 4), st.integers(0, 3), st.sampled_from(DTYPES), st.booleans(), st.data())
def test_spikes_and_gradients_of_finite_inputs_are_finite_and_of_their_dtype(steps, count, dtype, decay_input, data):
    numbers = data.draw(st.lists(EXTREME, min_size=steps * count, max_size=steps * count))
    x = torch.tensor(numbers, dtype=torch.float64).view(steps, count).to(dtype)
    backends = [name for name in ("numba", "torch") if kernels.BACKENDS[name].unavailable(CPU, dtype) is None]
    found = []
    for backend in backends:
        node, leaf = LIFNode(backend=backend, decay_input=decay_input), x.clone().requires_grad_()
        spikes = node(leaf)
        spikes.sum().backward()
        assert (spikes.dtype, leaf.grad.dtype, spikes.device) == (dtype, dtype, x.device)
        assert ((spikes == 0) | (spikes == 1)).all()
        assert torch.isfinite(leaf.grad).all()
        assert torch.isfinite(node.v).all()
        found.append(spikes.detach())
    assert all(torch.equal(found[0], other) for other in found)


@given(st.integers(1, 4), st.sampled_from(DTYPES[1:]), st.data())
def test_the_equations_themselves_keep_dtype_and_bound_the_gradient(steps, dtype, data):
    """|g_I[t]| <= α Σ_k (1 - 1/τ)^k <= α·τ for upstream gradients of 1."""
    numbers = data.draw(st.lists(EXTREME, min_size=2 * steps, max_size=2 * steps))
    x, p = torch.tensor(numbers, dtype=torch.float64).view(steps, 2).to(dtype), LIFParameters()
    spikes, u_pre, v = lif_forward(x, torch.zeros(2, dtype=dtype), p)
    grad_x, grad_v = lif_backward(torch.ones_like(spikes), None, u_pre, p)
    assert {t.dtype for t in (spikes, u_pre, v, grad_x, grad_v)} == {dtype}
    assert (grad_x.abs() <= p.alpha * p.tau + 0.1).all()


@pytest.mark.parametrize("backend", ["torch", "numba", "auto"])
@pytest.mark.parametrize("shape", [(), (0, 3)])
def test_an_input_without_a_time_step_is_refused_clearly(backend, shape):
    with pytest.raises(ValueError, match="one time step or more"):
        LIFNode(backend=backend)(torch.zeros(shape))


@pytest.mark.parametrize(
    "constants", [{"v_reset": math.nan}, {"v_threshold": math.nan}, {"alpha": math.nan}, {"alpha": 0}, {"alpha": -1.0},
                  {"tau": math.nan}]
)  # fmt: skip
def test_constants_that_are_no_numbers_are_refused(constants):
    (name,) = constants
    with pytest.raises(ValueError, match=name):
        LIFNode(**constants)


def test_a_membrane_that_never_fires_is_meant():
    """θ = ∞, as SpikingJelly's users read potentials out."""
    node = LIFNode(v_threshold=math.inf)
    assert node(torch.ones(3, 1)).sum() == 0
    assert node.v.item() == 1.75  # 1, 1.5, 1.75
