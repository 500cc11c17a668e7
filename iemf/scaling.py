"""Multiply what some parameters learn in one step by a factor: IEMF's ξ, and the factors of balancing methods.

    gradient   the gradient is multiplied, before the optimiser sees it
    step       the optimiser's update is multiplied, W <- W + f·ΔW: a learning rate of f·η for this step

Both are the same for SGD without weight decay and momentum. Adam and its kind divide a gradient by its own running
size, and so take a factor on it away: with them only the step form does anything.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

SCALES = ("gradient", "step")


def default_scale(optimizer: torch.optim.Optimizer) -> str:
    """ "gradient" for SGD, "step" for every other optimiser; Accelerate's wrapper stands for what it wraps."""
    return "gradient" if isinstance(plain(optimizer), torch.optim.SGD) else "step"


def plain(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """What Accelerate has wrapped, or the optimiser itself."""
    inner = getattr(optimizer, "optimizer", None)
    return inner if isinstance(inner, torch.optim.Optimizer) else optimizer


class Scaling:
    """A factor on the coming update of some parameters. Call ``apply`` between ``backward()`` and ``step()``.

    Args:
        parameters: each once; frozen ones are left alone.
        scale: "gradient" or "step", see the module.
        optimizer: that updates them; needed by "step". An adaptive one with "gradient" is warned of.

    Raises:
        ValueError: an unknown scale, or "step" without an optimiser or with one that does not update the parameters.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        scale: str = "gradient",
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, got {scale!r}")
        self.parameters, self.scale = list(parameters), scale
        self._pending: Tensor | float | None = None
        self._before: list[Tensor] = []
        if scale == "step":
            if optimizer is None:
                raise ValueError('scale="step" needs optimizer=, the optimiser that updates the parameters')
            self._follow(plain(optimizer))
        elif optimizer is not None and default_scale(optimizer) == "step":
            warnings.warn(f"{type(plain(optimizer)).__name__} takes a factor on the gradient away again, so it changes "
                          f'next to nothing; scale="step" puts it on the update', stacklevel=3)  # fmt: skip

    def _follow(self, optimizer: torch.optim.Optimizer) -> None:
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if missing := sum(id(p) not in held for p in self.parameters if p.requires_grad):
            raise ValueError(f"the optimiser does not update {missing} of the {len(self.parameters)} parameters; "
                             f"hand in the one that does")  # fmt: skip
        for p in self.parameters:  # a new gradient: the step of the last factor, if it is still to come, was skipped
            if p.requires_grad:
                p.register_post_accumulate_grad_hook(self._forget)
        optimizer.register_step_pre_hook(self._remember)
        optimizer.register_step_post_hook(self._shorten)

    @torch.no_grad()
    def apply(self, factor: Tensor | float) -> None:
        """Multiply the gradients now, or the optimiser's coming step.

        Args:
            factor: a number, or a 0-dim tensor on the parameters' device.
        """
        if self.scale == "step":
            self._pending = factor
        elif gradients := [p.grad for p in self.parameters if p.grad is not None]:
            torch._foreach_mul_(gradients, factor)

    def _forget(self, _: Tensor) -> None:
        self._pending = None

    @torch.no_grad()
    def _remember(self, *_: object) -> None:
        if self._pending is not None:
            self._before = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def _shorten(self, *_: object) -> None:
        """W <- W_before + f·(W_after - W_before): exact for every optimiser, and f stays on the device."""
        if self._pending is not None:
            updates = torch._foreach_sub(self.parameters, self._before)
            torch._foreach_mul_(updates, self._pending)
            torch._foreach_copy_(self.parameters, torch._foreach_add(self._before, updates))
            self._pending, self._before = None, []
