"""How fast gradient descent closes in on a minimum when its step is scaled by ξ (He et al. 2025, Theorem 1).

On a quadratic L = Σ λ_i·w_i²/2, the step w <- w - η·ξ·∇L multiplies the error along eigenvector i by 1 - η·ξ·λ_i. With
x = ηλ_i, the curvature in units of the learning rate:

    |1 - ξx|            contraction factor: below 1 the error shrinks, at 0 it is gone, from 1 on it does not
    x < 2/ξ             stable
    |1 - ξx| < |1 - x|  faster than without ξ: for ξ > 1 where x < 2/(1 + ξ), for ξ < 1 where x > 2/(1 + ξ)

So ξ > 1 helps along flat directions and ξ < 1 along sharp ones, and what is sharp is said by the learning rate.
"""

from torch import Tensor

from iemf.coefficient import inverse_effectiveness

LARGEST = float(inverse_effectiveness(0.0, 1.0))  # ξ for γ = 1 and κ = tanh, where S_uni = 0: 1 + tanh(1) = 1.7616


def contraction_factors(learning_rate: float, xi: float | Tensor, eigenvalues: Tensor) -> Tensor:
    """|1 - η·ξ·λ_i|, of the shape of ``eigenvalues``.

    >>> import torch
    >>> contraction_factors(0.5, 0.5, torch.tensor([1.0, 4.0]))
    tensor([0.7500, 0.0000])
    """
    return (1 - learning_rate * xi * eigenvalues).abs()


def crossover(xi: float) -> float:
    """The ηλ at which ξ changes nothing, 2/(1 + ξ): below it a ξ above 1 contracts faster, above it one below 1.

    >>> crossover(0.5)
    1.3333333333333333
    """
    return 2 / (1 + xi)


def largest_stable(xi: float = LARGEST) -> float:
    """ηλ must be below it, 2/ξ; by default for every ξ that γ = 1 and tanh can give.

    >>> round(largest_stable(), 4)
    1.1353
    """
    return 2 / xi
