"""NaN and infinities: the fused kernels do with them what the reference does, forward and backward."""

import itertools
import math

import pytest
import torch

from iemf_snn import LIFNode
from iemf_snn.functional import LIFParameters
from iemf_snn.kernels import operators, torch_reference

VALUES = (math.nan, math.inf, -math.inf, 0.4, 1.0)
# every sequence of three of the values, then one of numbers alone
STEPS = torch.tensor(list(itertools.product(VALUES, repeat=3))).T.contiguous()
X = torch.cat([STEPS, torch.full_like(STEPS[:1], 0.4)])


@pytest.mark.parametrize("decay_input", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_kernels_equal_the_reference(implementation, decay_input, dtype):
    p = LIFParameters(decay_input=decay_input)
    upstream = torch.randn_like(X).to(dtype)
    results = []
    for run in (
        lambda x, v: operators.lif(x, v, True, list(p)),
        lambda x, v: torch_reference.run(x, v, p),
    ):
        x, v = X.clone().to(dtype).requires_grad_(), torch.zeros(X.shape[1], requires_grad=True)
        spikes, last = run(x, v)
        torch.autograd.backward([spikes, last], [upstream, torch.ones_like(last)])
        results.append((spikes.detach(), last.detach(), x.grad, v.grad))
    for ours, reference in zip(*results, strict=True):
        assert ours.dtype == reference.dtype
        torch.testing.assert_close(ours, reference, equal_nan=True)
    assert torch.equal(results[0][0], results[1][0])


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_what_the_docstring_of_the_neuron_says(backend):
    def fires(*values):
        return LIFNode(backend=backend)(torch.tensor(values)[:, None]).flatten().tolist()

    assert fires(math.nan, 1.0, 1.0) == [0, 0, 0]
    assert fires(math.inf, 0.4, 1.0) == [1, 0, 1]  # reset to a number: goes on as after any spike
    assert fires(-math.inf, 1.0, 1.0) == [0, 0, 0]
    assert fires(-math.inf, math.inf, 1.0) == [0, 0, 0]  # -∞ + ∞ is not a number


def test_spikingjellys_own_node_falls_silent_after_an_infinite_input():
    """It resets by (1 - s)·u + s·v_reset, and 0·∞ is not a number."""
    node = LIFNode(backend="spikingjelly")
    assert node(torch.tensor([math.inf, 0.4, 1.0])[:, None]).flatten().tolist() == [1, 0, 0]
    assert node.v.isnan().all()
