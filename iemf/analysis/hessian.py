"""The largest eigenvalues of a loss's Hessian, by Lanczos' method from products of the Hessian with vectors.

How the products are made is part of the result:

    double backward      the derivative of gradient·v, exact, where every operator has a second derivative
    differences          (g(θ + h·v) - g(θ - h·v)) / 2h of gradients g, for operators that have none

The spiking operators have none, and need care besides: with a surrogate derivative g is not the gradient of the loss,
which is a staircase in all weights that are seen through spikes. Differences then show how the surrogate gradient
changes over a distance h; what they are the products of need not be symmetric, and how far it is from that is part of
the result too. Eigenvalues are those of its symmetric part.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from iemf.analysis.objective import Objective, flat

PRODUCTS = ("double backward", "differences")


class Spectrum(NamedTuple):
    """The largest eigenvalues, descending, and how they were found.

    ``asymmetry`` is ||M - Mᵀ|| / ||M|| (Frobenius) of the Hessian M in Lanczos' basis: 0, but for rounding, where M is
    one. ``change`` is how much the first eigenvalue moved in the last iteration, relative to it.
    """

    eigenvalues: list[float]
    products: str
    iterations: int
    asymmetry: float
    change: float


def by_double_backward(objective: Objective, vector: Tensor) -> Tensor:
    """H·v, [n].

    Raises:
        RuntimeError: an operator has no second derivative.
    """
    pieces, product = objective.unflattened(vector), None
    for part in objective.parts:
        gradients = torch.autograd.grad(part(), objective.parameters, create_graph=True)
        slope = sum((g * piece).sum() for g, piece in zip(gradients, pieces, strict=True))
        if slope.requires_grad:
            own = flat(torch.autograd.grad(slope, objective.parameters, materialize_grads=True))
        else:  # the loss is linear in all of them
            own = torch.zeros_like(vector)
        product = own if product is None else product.add_(own)
    return product


def by_differences(objective: Objective, vector: Tensor, distance: float) -> Tensor:
    """H·v, [n], from two gradients that are 2·``distance`` apart, measured along v."""
    step = distance / float(vector.norm())
    with objective.around() as move:
        move(step * vector)
        ahead = objective.gradient()[1]
        move(-step * vector)
        return (ahead - objective.gradient()[1]) / (2 * step)


def top_eigenvalues(
    objective: Objective,
    count: int = 1,
    iterations: int = 20,
    products: str = "double backward",
    distance: float = 1e-2,
    seed: int = 0,
) -> Spectrum:
    """The ``count`` largest eigenvalues of the Hessian of L at θ; θ is as before afterwards.

    The basis is orthogonalised against all of itself, twice: without that, rounding brings back eigenvectors that were
    found before. It takes iterations·n numbers of memory.

    >>> weight = torch.nn.Parameter(torch.ones(3))
    >>> quadratic = Objective([lambda: (torch.tensor([5.0, 2.0, 1.0]) * weight**2).sum() / 2], [weight])
    >>> [round(value, 4) for value in top_eigenvalues(quadratic, 2).eigenvalues]
    [5.0, 2.0]

    Args:
        objective: L and the parameters θ, n elements.
        count: of eigenvalues, at most the iterations and n.
        iterations: at most; n suffice for all.
        products: one of PRODUCTS.
        distance: h of differences, in the unit of the weights.
        seed: of the first vector.

    Raises:
        ValueError: an unknown kind of products, or a number out of range.
        RuntimeError: double backward through an operator without a second derivative.
    """
    if products not in PRODUCTS:
        raise ValueError(f"products must be one of {PRODUCTS}, got {products!r}")
    size = objective.vector().numel()
    if not 1 <= count <= min(iterations, size) or not 0 < distance < math.inf:
        raise ValueError(f"need 1 <= count <= iterations and n, and a positive distance, got {count} of {iterations} "
                         f"iterations and {size} elements, {distance}")  # fmt: skip

    def product(vector: Tensor) -> Tensor:
        if products == "differences":
            return by_differences(objective, vector, distance)
        return by_double_backward(objective, vector)

    projection, previous = lanczos(product, objective.vector(), min(iterations, size), seed)
    found = torch.linalg.eigvalsh(_symmetric(projection)).flip(0)
    skew, norm = float((projection - projection.T).norm()), float(projection.norm())
    first = float(found[0])
    change = abs(first - previous) / abs(first) if first else 0.0
    return Spectrum(found[:count].tolist(), products, len(projection), skew / norm if norm else 0.0, change)


def lanczos(product: Callable[[Tensor], Tensor], like: Tensor, iterations: int, seed: int) -> tuple[Tensor, float]:
    """(VᵀHV [k, k] in float64 of an orthonormal basis V of the Krylov space, its largest eigenvalue for k - 1).

    Args:
        product: v [n] -> H·v [n].
        like: [n], of the vectors' device and dtype.
        iterations: k at most; less where the space is exhausted.
        seed: of the first vector.
    """
    vector = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)).to(like)
    basis = (vector / vector.norm())[None]
    projection = torch.zeros(iterations, iterations, dtype=torch.float64)
    previous, scale = 0.0, 0.0
    for k in range(iterations):
        rest = product(basis[k])
        scale = max(scale, float(rest.norm()))
        for _ in range(2):
            shares = basis @ rest
            projection[: k + 1, k] += shares.double().cpu()
            rest = rest - basis.T @ shares
        length = float(rest.norm())
        if k + 1 == iterations or length <= 1e-6 * scale:  # nothing of the space is left
            return projection[: k + 1, : k + 1], previous
        previous = float(torch.linalg.eigvalsh(_symmetric(projection[: k + 1, : k + 1]))[-1])
        projection[k + 1, k] = length
        basis = torch.cat([basis, (rest / length)[None]])
    raise AssertionError("the loop returns")


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2
