"""The loss around given weights, on a line and on a plane (Fig. 2 f; Li et al. 2018, "Visualizing the loss landscape of
neural nets").

    L(θ + a·d_1 + b·d_2)        d: a random direction, filter-normalised

A filter of a direction gets the norm of the same filter of θ: a step of 1 then means the same to networks whose weights
differ in scale alone, as those in front of a norm may. Filters are the rows of a linear layer and the kernels of a
convolution's outputs; biases and the norms' parameters stay where they are, as in Li et al.

Networks are compared on the same directions if these come from one seed: the same random numbers, each scaled to its
own network's filters.

Batch norm keeps its running statistics: with them L is a function of the weights alone, the same one that sharpness and
Hessian are of, and its value at (0, 0) is the loss of evaluation. Recomputed ones would make L depend on the batch, and
take back the better part of a step in front of a norm. The price: far from θ they are no longer the activations' own,
and L rises more steeply there than a network would whose statistics were estimated again.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from iemf.analysis.objective import Objective, flat


def filter_normalised(direction: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """A direction whose filters have the norms of the parameters' filters; zeros in what has one dimension or none.

    >>> filter_normalised([torch.tensor([[3.0, 4.0]])], [torch.tensor([[0.0, 10.0]])])
    [tensor([[6., 8.]])]

    Args:
        direction: a tensor [F, ...] a parameter, F filters.
        parameters: of the same shapes.
    """
    scaled = []
    for d, p in zip(direction, parameters, strict=True):
        if p.ndim < 2:
            scaled.append(torch.zeros_like(d))
            continue
        norms = [x.detach().flatten(1).norm(dim=1) for x in (p, d)]
        ratio = norms[0] / norms[1].clamp(min=torch.finfo(d.dtype).tiny)
        scaled.append(d * ratio.view(-1, *[1] * (d.ndim - 1)))
    return scaled


def random_directions(parameters: Sequence[nn.Parameter], count: int, seed: int) -> list[Tensor]:
    """Filter-normalised directions, ``count`` of them, [n] each.

    Args:
        parameters: around whose values the loss is looked at.
        count: 1 for a line, 2 for a plane.
        seed: of the random numbers: networks of one form get the same, on any device.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = []
    for _ in range(count):
        drawn = [torch.randn(p.shape, generator=generator).to(p.device, p.dtype) for p in parameters]
        directions.append(flat(filter_normalised(drawn, parameters)))
    return directions


def steps(span: float, points: int) -> list[float]:
    """``points`` steps from -span to span, 0 among them.

    Raises:
        ValueError: an even number, which would leave 0 out, or a span that is not positive and finite.
    """
    if points < 3 or points % 2 == 0 or not 0 < span < math.inf:
        raise ValueError(f"need an odd number of points, 3 or more, and a positive span, got {points} and {span}")
    half = points // 2
    return [span * (i - half) / half for i in range(points)]


def line(objective: Objective, direction: Tensor, along: Sequence[float]) -> list[float]:
    """L(θ + a·d) for each a of ``along``; θ is as before afterwards.

    Args:
        objective: L.
        direction: d, [n].
        along: steps; at 0 stands L(θ) itself.
    """
    values = []
    with objective.around() as move:
        for a in along:
            move(a * direction)
            values.append(objective.value())
    return values


def plane(objective: Objective, directions: Sequence[Tensor], along: Sequence[float]) -> list[list[float]]:
    """L(θ + a·d_1 + b·d_2), a row for each a and a column for each b of ``along``; θ is as before afterwards.

    Args:
        objective: L.
        directions: d_1 and d_2, [n] each.
        along: steps in either direction.
    """
    first, second = directions
    values = []
    with objective.around() as move:
        for a in along:
            row = []
            for b in along:
                move(a * first + b * second)
                row.append(objective.value())
            values.append(row)
    return values
