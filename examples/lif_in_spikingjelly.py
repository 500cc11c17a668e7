"""Our LIF neuron in a plain SpikingJelly network: the same spikes as SpikingJelly's own, in fewer passes over memory.

python examples/lif_in_spikingjelly.py
"""

import time

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from iemf_snn import LIFNode

TIME_STEPS = 4


def network(make_neuron) -> nn.Sequential:
    """A small convolutional SNN in SpikingJelly's multi-step mode; the same weights for every neuron."""
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(1, 16, 3, padding=1), layer.BatchNorm2d(16), make_neuron(), layer.MaxPool2d(2),
        layer.Conv2d(16, 32, 3, padding=1), layer.BatchNorm2d(32), make_neuron(), layer.MaxPool2d(2),
        layer.Flatten(), layer.Linear(32 * 8 * 8, 10),
    )  # fmt: skip
    functional.set_step_mode(net, "m")
    return net


def theirs() -> neuron.LIFNode:
    """SpikingJelly's node with the constants of He et al. 2025, Eq. 2-3."""
    return neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.5, v_reset=0.0, detach_reset=True, step_mode="m",
                          surrogate_function=surrogate.PiecewiseQuadratic(alpha=2.0))  # fmt: skip


def main(batch: int = 32, repeats: int = 5) -> bool:
    """Print whether both networks put out the same, and how long a training step takes; return the former."""
    x = torch.rand(1, batch, 1, 32, 32).expand(TIME_STEPS, -1, -1, -1, -1)
    outputs = {}
    for name, make in (("SpikingJelly", theirs), ("ours", lambda: LIFNode(step_mode="m"))):
        net, seconds = network(make), []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            out = net(x).mean(0)
            out.sum().backward()
            functional.reset_net(net)
            seconds.append(time.perf_counter() - began)
        outputs[name] = out.detach()
        print(f"{name}: {1000 * min(seconds[1:]):.0f} ms a step")
    same = torch.equal(*outputs.values())
    print(f"the same output, bit for bit: {same}")
    return same


if __name__ == "__main__":
    main()
