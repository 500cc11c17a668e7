"""Our LIF neuron in a plain SpikingJelly network, beside SpikingJelly's own: same weights, same results. Seconds.

    python examples/lif_in_spikingjelly.py

The data are made up: a bright square in one of four corners of a noisy image.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer, monitor, neuron, surrogate
from torch import Tensor, nn

from iemf_snn import LIFNode

TIME_STEPS = 4


def theirs() -> neuron.LIFNode:
    """SpikingJelly's node with the constants of He et al. 2025 (Eq. 2-3), which are LIFNode's defaults."""
    return neuron.LIFNode(tau=2.0, decay_input=False, v_threshold=0.5, v_reset=0.0, detach_reset=True, step_mode="m",
                          surrogate_function=surrogate.PiecewiseQuadratic(alpha=2.0))  # fmt: skip


def build(make_neuron: Callable[[], nn.Module]) -> nn.Sequential:
    """[T, B, 1, 16, 16] -> [T, B, 4]; the weights are the same in every call."""
    torch.manual_seed(0)
    network = nn.Sequential(
        layer.Conv2d(1, 8, 3, padding=1), layer.BatchNorm2d(8), make_neuron(), layer.MaxPool2d(4, 4),
        layer.Flatten(), layer.Linear(8 * 4 * 4, 32), make_neuron(), layer.Linear(32, 4),
    )  # fmt: skip
    functional.set_step_mode(network, "m")
    return network


def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(images [count, 1, 16, 16], corners [count])."""
    corners = torch.randint(4, (count,), generator=generator)
    images = torch.randn(count, 1, 16, 16, generator=generator)
    for image, corner in zip(images, corners.tolist(), strict=True):
        row, column = 8 * (corner // 2), 8 * (corner % 2)
        image[:, row : row + 8, column : column + 8] += 1
    return images, corners


def main(steps: int = 40) -> dict[str, dict[str, float]]:
    """{whose neuron: last loss, accuracy and firing rate in percent}."""
    told = {}
    for whose, make_neuron in (("spikingjelly", theirs), ("iemf", LIFNode)):
        generator = torch.Generator().manual_seed(1)
        network = build(make_neuron)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(steps):
            images, corners = draw(32, generator)
            logits = network(images.expand(TIME_STEPS, *images.shape)).mean(0)
            loss = F.cross_entropy(logits, corners)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            functional.reset_net(network)  # back to rest, as for any SpikingJelly node
        images, corners = draw(400, generator)
        network.eval()
        spikes = monitor.OutputMonitor(network, (neuron.BaseNode,))  # sees our node: it is one of SpikingJelly's
        with torch.no_grad():
            right = network(images.expand(TIME_STEPS, *images.shape)).mean(0).argmax(1) == corners
        rate = sum(s.sum() for s in spikes.records) / sum(s.numel() for s in spikes.records)
        spikes.remove_hooks()
        told[whose] = {"loss": loss.item(), "accuracy": 100 * right.float().mean().item(), "rate": 100 * rate.item()}
        print(f"{whose:12}   loss {loss.item():.4f}   accuracy {told[whose]['accuracy']:.1f} %   "
              f"firing rate {told[whose]['rate']:.1f} %")  # fmt: skip
    return told


if __name__ == "__main__":
    torch.set_num_threads(1)  # tensors this small gain nothing from a second thread
    main()
