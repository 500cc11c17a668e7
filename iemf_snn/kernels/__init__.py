"""Backends of the LIF neuron and the choice among them.

A backend is a module with ``unavailable(device, dtype) -> reason or None``. Those in FUSED do the work of
:mod:`iemf_snn.kernels.operators`; the others have ``run(x, v, parameters) -> (spikes, v)``.
"""

import torch

from iemf_snn.kernels import cupy_cuda, numba_cpu, spikingjelly_node, torch_reference

BACKENDS = {
    "numba": numba_cpu,
    "cupy": cupy_cuda,
    "torch": torch_reference,
    "spikingjelly": spikingjelly_node,
}
FUSED = (numba_cpu, cupy_cuda)
PREFERENCE = {"cuda": ["cupy", "torch"], "cpu": ["numba", "torch"]}  # best first, for backend="auto"
NAMES = (*BACKENDS, "auto")


def choose(name: str, device: torch.device, dtype: torch.dtype):
    """The backend module for a name of NAMES, on a device and for an input's dtype.

    Raises:
        ValueError: the name is not in NAMES.
        RuntimeError: the backend was asked for by name and cannot run there; the message says why.
    """
    if name == "auto":
        candidates = PREFERENCE.get(device.type, ["torch"])
        return next(BACKENDS[c] for c in candidates if BACKENDS[c].unavailable(device, dtype) is None)
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {NAMES}, got {name!r}")
    reason = BACKENDS[name].unavailable(device, dtype)
    if reason is not None:
        raise RuntimeError(f"LIF backend {name!r} cannot run on {device}: {reason}")
    return BACKENDS[name]
