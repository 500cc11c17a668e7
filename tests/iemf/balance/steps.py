"""One training step of a method without the loop, and training rows that lie ready."""

import torch
import torch.nn.functional as F

from iemf.balance import METHODS


class Rows:
    """Training rows of a network: inputs and labels, the last of which are held."""

    def __init__(self, network, inputs, labels, held=0):
        self.network, self.inputs, self.labels = network, inputs, labels
        count = len(labels)
        self.trained, self.held = list(range(count - held)), list(range(count - held, count))

    @torch.no_grad()
    def outputs(self, rows, epoch):
        yield self.network(*(x[rows] for x in self.inputs)), self.labels[rows]

    def alone(self, name, epochs, optimizer):
        return self


def method_of(name, network, lr=0.01, make=torch.optim.SGD, scale=None, **options):
    """(the method, an optimiser of the network that it knows)."""
    optimizer = make(network.parameters(), lr=lr, **options)
    method = METHODS[name](network)
    if method.has_factors or method.needs_optimizer:
        method.use_optimizer(optimizer, scale)
    return method, optimizer


def gradients(network):
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def step_of(method, network, inputs, labels, times=1.0, modulated=True):
    """Gradients of the sum of the losses, and behind ``on_gradients``; ``times``: a factor of every loss."""
    output = network(*inputs)
    named = output.logits.named()
    losses = {name: times * F.cross_entropy(named[name], labels) for name in ("fused", "audio", "visual")}
    losses["fused"] = method.loss(losses["fused"], output, labels, 0)
    losses = method.weighted(losses, 0)
    network.zero_grad()
    method.before_backward(losses, lambda loss: loss)
    sum(losses.values()).backward()
    before = gradients(network)
    if modulated:
        method.on_gradients(output, labels, 0)
    return before, gradients(network)
