"""Backends of the LIF neuron and the choice among them.

A backend is a module with ``unavailable(device) -> reason or None`` and ``run(x, v, parameters) -> (spikes, v)``.
A new one is a file here, a line in BACKENDS and, if "auto" may choose it, its place in PREFERENCE.
"""

import torch

from iemf_snn.kernels import spikingjelly_node, torch_reference

BACKENDS = {"torch": torch_reference, "spikingjelly": spikingjelly_node}
PREFERENCE = {"cuda": ["torch"], "cpu": ["torch"]}  # best first, for backend="auto"
NAMES = (*BACKENDS, "auto")


def choose(name: str, device: torch.device):
    """The backend module for a name of NAMES on a device.

    Raises:
        ValueError: the name is not in NAMES.
        RuntimeError: the backend was asked for by name and cannot run there; the message says why.
    """
    if name == "auto":
        candidates = PREFERENCE.get(device.type, ["torch"])
        return next(BACKENDS[c] for c in candidates if BACKENDS[c].unavailable(device) is None)
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {NAMES}, got {name!r}")
    reason = BACKENDS[name].unavailable(device)
    if reason is not None:
        raise RuntimeError(f"LIF backend {name!r} cannot run on {device}: {reason}")
    return BACKENDS[name]
