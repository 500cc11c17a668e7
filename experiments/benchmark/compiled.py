"""Compiled peers of lif and step: what torch.compile makes of SpikingJelly's neuron, and of a plain PyTorch one."""

import shutil

import torch
from torch import Tensor, nn

from iemf_snn.functional import LIFParameters, surrogate_derivative
from iemf_snn.kernels.spikingjelly_node import plain_node

COMPILERS = ("c++", "g++", "clang++", "cl")  # torch.compile needs one on the CPU


def available() -> bool:
    """Whether this machine has a compiler that torch.compile can use."""
    return any(map(shutil.which, COMPILERS))


class Spike(torch.autograd.Function):
    """H(u - θ), with the piecewise-linear derivative."""

    @staticmethod
    def forward(ctx, u: Tensor, parameters: LIFParameters) -> Tensor:
        ctx.save_for_backward(u)
        ctx.parameters = parameters
        return (u >= parameters.v_threshold).to(u.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return grad * surrogate_derivative(u, ctx.parameters), None


class PlainLIF(nn.Module):
    """Eq. 3 as anyone would write it: a loop over T of [T, ...]; the reset is detached."""

    parameters_of_neuron = LIFParameters()
    v_threshold = parameters_of_neuron.v_threshold

    def forward(self, x: Tensor) -> Tensor:
        p, v, spikes = self.parameters_of_neuron, torch.zeros_like(x[0]), []
        for current in x.unbind(0):
            u = v - (v - p.v_reset) / p.tau + current
            spike = Spike.apply(u, p)
            v = u * (1 - spike.detach())
            spikes.append(spike)
        return torch.stack(spikes)


def neuron(name: str, x: Tensor) -> nn.Module:
    """[T, ...] -> [T, ...], compiled: "plain compiled" or "spikingjelly compiled"."""
    if name.startswith("plain"):
        return torch.compile(PlainLIF())
    node = plain_node(LIFParameters(), cuda=x.is_cuda)
    compiled = torch.compile(node)

    def from_rest(x: Tensor) -> Tensor:
        node.reset()
        return compiled(x)

    return from_rest


def encoder(name: str, channels: int, width: int, time_steps: int) -> nn.Module:
    """The spiking ResNet-18 with plain neurons or SpikingJelly's, in channels_last, compiled."""
    from iemf_snn.resnet import SpikingResNet18

    factory = PlainLIF if name.startswith("plain") else lambda: plain_node(LIFParameters())
    return torch.compile(SpikingResNet18(channels, width, factory, time_steps))
