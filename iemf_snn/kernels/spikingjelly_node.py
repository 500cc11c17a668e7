"""Backend "spikingjelly": whatever the installed SpikingJelly offers for this neuron, for comparison.

2.x picks its own kernels. 0.0.0.0.14 has its CuPy multi-step kernels, used on CUDA where CuPy is installed.
"""

import importlib.util
import inspect

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor

from iemf_snn.functional import LIFParameters


def unavailable(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why this backend cannot run there; None, it always can."""
    return None


def plain_node(p: LIFParameters, *, cuda: bool = False) -> neuron.LIFNode:
    """SpikingJelly's own multi-step LIF node with the constants ``p``."""
    options = {}
    if cuda and "backend" in inspect.signature(neuron.LIFNode.__init__).parameters and importlib.util.find_spec("cupy"):
        options["backend"] = "cupy"
    return neuron.LIFNode(
        tau=p.tau,
        decay_input=p.decay_input,
        v_threshold=p.v_threshold,
        v_reset=p.v_reset,
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=p.alpha),
        detach_reset=True,
        step_mode="m",
        **options,
    )


def run(x: Tensor, v: Tensor | None, parameters: LIFParameters) -> tuple[Tensor, Tensor]:
    """(spikes [T, ...], u[T] [...]) from x [T, ...] and u[0] [...], None for rest."""
    node = plain_node(parameters, cuda=x.is_cuda)
    if v is not None:
        node.v = v
    spikes = node(x)
    return spikes, node.v
