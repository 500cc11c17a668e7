"""Kullback-Leibler divergence of log-probabilities, as the losses of several methods need it."""

import torch
import torch.nn.functional as F
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


def at_least_float32(x: Tensor) -> Tensor:
    """float16 and bfloat16 as float32, anything else as it is: sums and exponentials of logits overflow in half."""
    return x.float() if x.dtype in HALVES else x


def refuse_empty(x: Tensor, what: str) -> None:
    """Raise ValueError for a batch without samples, whose mean is no number."""
    if len(x) == 0:
        raise ValueError(f"an empty batch has no {what}")


def divergence(target: Tensor, guess: Tensor) -> Tensor:
    """KL(target || guess), summed over all distributions of a sample, mean over samples; 0-dim, in nats.

    Classes that the target rules out (log-probability -∞) add 0, as 0·log 0 is taken to be, whatever the guess; where
    the guess alone rules out a class the divergence is ∞.

    Example:
        >>> divergence(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log())
        tensor(0.1438)

    Args:
        target, guess: [B, ...] log-probabilities of one shape and floating dtype.

    Raises:
        ValueError: the shapes differ, or the batch is empty.
    """
    if target.shape != guess.shape:
        raise ValueError(f"a divergence needs two tensors of one shape, got {list(target.shape)}, {list(guess.shape)}")
    refuse_empty(target, "divergence")
    ruled_out = target == -torch.inf  # 0·(-∞ - x) would be NaN, and so would its gradient
    target, guess = target.masked_fill(ruled_out, 0), guess.masked_fill(ruled_out, 0)
    return F.kl_div(guess, target, reduction="sum", log_target=True) / len(target)
