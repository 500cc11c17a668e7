"""Noise at a given signal-to-noise ratio."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iemf.data.noise import CLEAN, add_noise, draw_snr, standardise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.floats(-20, 20), st.floats(0.1, 10))
def test_measured_ratio_is_the_one_asked_for(snr, level):
    clean = level * torch.randn(2, 200, 200, generator=generator(1))
    noise = add_noise(clean, torch.tensor([snr, snr]), generator()) - clean
    measured = 10 * torch.log10(clean.square().mean((1, 2)) / noise.square().mean((1, 2)))
    assert measured.tolist() == pytest.approx([snr, snr], abs=0.15)


def test_each_sample_has_its_own_ratio():
    clean = torch.ones(2, 10000)
    noise = add_noise(clean, torch.tensor([0.0, -20.0]), generator()) - clean
    assert noise.std(1).tolist() == pytest.approx([1.0, 10.0], rel=0.03)


def test_infinite_ratio_adds_nothing():
    clean = torch.randn(1, 9)
    assert torch.equal(add_noise(clean, torch.tensor([float("inf")]), generator()), clean)


def test_standardise_by_hand():
    x = torch.tensor([[1.0, 3.0], [5.0, 5.0]])
    assert standardise(x).tolist() == [[-1, 1], [0, 0]]


@given(st.floats(-30, 0), st.floats(0, 30))
def test_drawn_ratios_lie_in_the_range(low, high):
    drawn = draw_snr(500, low, high, generator())
    assert low <= drawn.min()
    assert drawn.max() <= high


def test_a_range_of_no_width_is_that_ratio_and_draws_as_many_numbers():
    one, other = generator(), generator()
    assert draw_snr(3, -2.0, -2.0, one).tolist() == [-2.0] * 3
    assert draw_snr(3, *CLEAN, other).tolist() == [float("inf")] * 3
    assert torch.equal(torch.rand(2, generator=one), torch.rand(2, generator=other))
