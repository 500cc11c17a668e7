"""Noise at a given signal-to-noise ratio: how the reliability of each modality is made to fluctuate."""

from typing import NamedTuple

import torch
from torch import Tensor

Range = tuple[float, float]
CLEAN: Range = (float("inf"), float("inf"))


class Noise(NamedTuple):
    """(low, high) in dB of each modality; every sample draws its own ratio in between. CLEAN adds no noise."""

    audio: Range = CLEAN
    visual: Range = CLEAN


def standardise(x: Tensor) -> Tensor:
    """Each sample of x [B, ...] to mean 0 and variance 1; a constant sample becomes 0."""
    flat = x.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    return (centred / centred.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)).view_as(x)


def add_noise(x: Tensor, snr_db: Tensor, generator: torch.Generator) -> Tensor:
    """x + white Gaussian noise, the power of which lies ``snr_db`` below that of each sample.

    SNR = 10·log10(P_signal / P_noise) in dB, P_signal the sample's mean square.

    Args:
        x: [B, ...].
        snr_db: [B], in dB; +inf adds nothing.
        generator: source of the noise, on the device of x.
    """
    shape = (-1, *[1] * (x.ndim - 1))
    power = x.flatten(1).square().mean(1)
    deviation = (power * 10 ** (-snr_db / 10)).sqrt().view(shape)
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return x + deviation * noise


def draw_snr(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """[count] ratios in dB, uniform in [low, high), or all ``low`` where the two are equal.

    Either way as many random numbers are drawn, so noise drawn afterwards does not depend on the range.
    """
    position = torch.rand(count, generator=generator)
    return torch.full_like(position, low) if low == high else low + (high - low) * position
