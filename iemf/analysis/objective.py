"""A loss as a function of some parameters of a network: its value, its gradient, and a walk around where they are.

Vectors over parameters are flat [n]: the parameters' elements one after another, in the order given. What looks at the
surroundings of a minimum (landscape, sharpness, Hessian) sees a network through this alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Part = Callable[[], Tensor]


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """[n] of tensors of any shapes."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


class Objective:
    """L(θ), the sum of ``parts``, as a function of ``parameters`` θ that these read.

    The parts must depend on nothing that a call changes: hold data, noise and dropout fixed, and put norms that keep
    running statistics into evaluation mode.

    >>> weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> objective = Objective([lambda: (weight**2).sum() / 2], [weight])
    >>> objective.value(), objective.gradient()[1].tolist()
    (2.5, [1.0, -2.0])

    Args:
        parts: each gives a 0-dim tensor, as a batch's share of a mean; one batch at a time needs its memory alone.
        parameters: by object; each requires a gradient.

    Raises:
        ValueError: no parts, no parameters, or a parameter that is frozen.
    """

    def __init__(self, parts: Sequence[Part], parameters: Iterable[nn.Parameter]) -> None:
        self.parts, self.parameters = list(parts), list(parameters)
        if not self.parts or not self.parameters:
            raise ValueError(f"need parts and parameters, got {len(self.parts)} and {len(self.parameters)}")
        if frozen := sum(not p.requires_grad for p in self.parameters):
            raise ValueError(f"{frozen} of the {len(self.parameters)} parameters are frozen; leave them out")

    def vector(self) -> Tensor:
        """θ, a copy, [n]."""
        return flat(p.detach() for p in self.parameters).clone()

    def unflattened(self, vector: Tensor) -> list[Tensor]:
        """A vector [n] in the parameters' shapes."""
        pieces = vector.split([p.numel() for p in self.parameters])
        return [piece.view(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]

    @torch.no_grad()
    def value(self) -> float:
        """L(θ)."""
        return sum(float(part()) for part in self.parts)

    def gradient(self) -> tuple[float, Tensor]:
        """(L(θ), its gradient [n]); the parameters' own ``grad`` is left alone.

        Raises:
            RuntimeError: the loss does not depend on a parameter.
        """
        value, gradient = 0.0, None
        for part in self.parts:
            loss = part()
            own = flat(torch.autograd.grad(loss, self.parameters))
            value, gradient = value + float(loss.detach()), own if gradient is None else gradient.add_(own)
        return value, gradient

    @contextmanager
    def around(self) -> Iterator[Callable[[Tensor], None]]:
        """Within the block, what it gives puts the parameters at θ + offset; behind it they are θ, bit for bit, also
        when the block fails.
        """
        start = [p.detach().clone() for p in self.parameters]

        @torch.no_grad()
        def move(offset: Tensor) -> None:
            for p, origin, piece in zip(self.parameters, start, self.unflattened(offset), strict=True):
                p.copy_(origin + piece)

        try:
            yield move
        finally:
            with torch.no_grad():
                for p, origin in zip(self.parameters, start, strict=True):
                    p.copy_(origin)
