"""One loss of a stage learnt alone, by a copy of its network: what a method may ask before it weights the losses."""

import copy
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from iemf.balance import Method
from iemf.processes import copy_from_first, sum_over_processes
from iemf.scaling import plain
from iemf.training.stage import Outcome, StageDefaults
from iemf.training.step import Step


class Copied(Protocol):
    """What of a stage is copied."""

    module: nn.Module
    balance: Method

    def in_order(self, epoch: int) -> Iterator[Any]: ...

    def loss(self, network: nn.Module, batch: Any, epoch: int) -> Outcome: ...


Kind = TypeVar("Kind", bound=Copied)


class Alone(StageDefaults):
    """Of a stage's losses one; without IEMF, and without the method.

    Args:
        stage: whose module learns.
        name: of the loss.
    """

    def __init__(self, stage: Copied, name: str) -> None:
        super().__init__()
        self.stage, self.module, self.name = stage, stage.module, name

    def loss(self, network: nn.Module, batch: Any, epoch: int) -> Outcome:
        outcome = self.stage.loss(network, batch, epoch)
        return outcome._replace(loss=outcome.losses[self.name])

    def on_gradients(self, outcome: Outcome, epoch: int) -> None:
        """The mean over processes: there is no wrapper around the copy that would see to it."""
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_ones(1)])
        total = sum_over_processes(flat)
        if total is not flat:
            for gradient, mean in zip(gradients, (total[:-1] / total[-1]).split([g.numel() for g in gradients]),
                                      strict=True):  # fmt: skip
                gradient.copy_(mean.view_as(gradient))


def learn_alone(
    stage: Kind, name: str, epochs: range, optimizer: torch.optim.Optimizer, accelerator: Accelerator
) -> Kind:
    """The stage with a copy of its network that has learnt from one of its losses, in the order of these epochs.

    Args:
        stage: stays as it is.
        name: of the loss, "fused" or a modality's.
        epochs: whose order and noise; ξ, the method, and what changes the learning rate are left out.
        optimizer: the copy's is of the same kind, with the same options at this moment, and no memory.
        accelerator: of the run.
    """
    learnt = copy.copy(stage)
    learnt.module = copy.deepcopy(stage.module)
    learnt.balance = Method(learnt.module, recipe=stage.balance.recipe)
    inner, places = plain(optimizer), {id(p): q for p, q in zip(
        stage.module.parameters(), learnt.module.parameters(), strict=True)}  # fmt: skip
    groups = [group | {"params": [places[id(p)] for p in group["params"]]} for group in inner.param_groups]
    step = Step(Alone(learnt, name), learnt.module, type(inner)(groups), accelerator)
    for epoch in epochs:
        for batch in learnt.in_order(epoch):
            step(batch, epoch)
        copy_from_first(learnt.module.buffers())
    return learnt
