"""Epochs with ξ, and a ξ that is held behind them."""

import torch

from iemf.modulation import InverseEffectiveness
from iemf.training import Window


def test_both_ends_are_included():
    window = Window(2, 4)
    assert [epoch in window for epoch in range(1, 6)] == [False, True, True, True, False]
    assert 10**6 in Window()
    assert not Window().is_over(10**6)


def test_the_last_xi_is_applied_again_and_outlives_a_checkpoint():
    parameter = torch.nn.Parameter(torch.zeros(2))
    first = InverseEffectiveness([parameter])
    parameter.grad = torch.ones(2)
    first.repeat()  # there was none
    assert parameter.grad.tolist() == [1, 1]
    first.apply(torch.tensor(0.5))
    second = InverseEffectiveness([parameter])
    second.load_state_dict(first.state_dict())
    second.repeat()
    assert parameter.grad.tolist() == [0.25, 0.25]
