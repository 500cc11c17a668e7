"""Sharpness (He et al. 2025, Eq. 14): how far the loss can rise within a ball around the weights.

    S(ρ) = max over ||ε||_2 <= ρ of L(θ + ε) - L(θ)

The maximum is sought by projected gradient ascent, so that what is found is a lower bound of it, as with any search. Of
a convex L (the fusion layer's weights alone, where it is linear) no step of the ascent goes down.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from iemf.analysis.objective import Objective

SMALLEST_STEP = 2.0**-8  # of the radius


def sharpness(
    objective: Objective, radii: Sequence[float], ascent_steps: int = 20, chains: int = 2, seed: int = 0
) -> list[float]:
    """S(ρ) for each radius, in their order: 0 at ρ = 0, never below, and never falling with ρ.

    Each chain goes from the smallest ball to the largest, and begins in each where it ended in the one before. The
    first chain begins at θ, along the gradient; the others in random directions, since at an exact minimum there is no
    gradient to follow. θ is as before afterwards.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> quadratic = Objective([lambda: (torch.tensor([4.0, 1.0]) * weight**2).sum() / 2], [weight])
    >>> [round(s, 4) for s in sharpness(quadratic, [0.0, 0.5, 1.0])]  # λ_max·ρ²/2
    [0.0, 0.5, 2.0]

    Args:
        objective: L and the parameters θ.
        radii: ρ >= 0, in the unit of the weights.
        ascent_steps: in each ball and chain; one is a forward and a backward pass.
        chains: 1 or more.
        seed: of the random directions.

    Raises:
        ValueError: a radius is negative or not finite, or no step or chain is asked for.
    """
    if not all(0 <= radius < math.inf for radius in radii):
        raise ValueError(f"radii must be finite and not negative, got {list(radii)}")
    if ascent_steps < 1 or chains < 1:
        raise ValueError(f"need a step and a chain at least, got {ascent_steps} and {chains}")
    found = dict.fromkeys(radii, 0.0)
    generator = torch.Generator().manual_seed(seed)
    with objective.around() as move:

        def at(offset: Tensor) -> tuple[float, Tensor]:
            move(offset)
            return objective.gradient()

        rest = torch.zeros_like(objective.vector())
        origin, slope = at(rest)
        for chain in range(chains):
            toward = slope
            if chain > 0 or not slope.any():
                toward = torch.randn(rest.shape, generator=generator).to(rest)
            here = rest, origin, toward
            for radius in sorted(radius for radius in found if radius > 0):
                here = ascend(at, here, radius, ascent_steps)
                found[radius] = max(found[radius], here[1] - origin)
    rising = 0.0
    for radius in sorted(found):
        rising = found[radius] = max(rising, found[radius])
    return [found[radius] for radius in radii]


State = tuple[Tensor, float, Tensor]  # ε, L(θ + ε), and where to go from there


def ascend(at: Callable[[Tensor], tuple[float, Tensor]], start: State, radius: float, count: int) -> State:
    """The best state that ``count`` steps from ``start`` reach within the ball.

    A step goes as far as the ball's radius at first; one that does not rise is not taken, and the next is half as long.

    Args:
        at: (value, gradient) at an offset.
        start: a state within the ball.
        radius: of the ball.
        count: of evaluations.
    """
    offset, value, gradient = start
    length = 1.0
    for _ in range(count):
        norm = gradient.norm()
        if not 0 < float(norm) < math.inf:
            break
        trial = projected(offset + length * radius / norm * gradient, radius)
        trial_value, trial_gradient = at(trial)
        if trial_value > value:
            offset, value, gradient = trial, trial_value, trial_gradient
        else:
            length /= 2
            if length < SMALLEST_STEP:
                break
    return offset, value, gradient


def projected(offset: Tensor, radius: float) -> Tensor:
    """The point of the ball that is nearest to ``offset``."""
    norm = float(offset.norm())
    return offset if norm <= radius else offset * (radius / norm)
