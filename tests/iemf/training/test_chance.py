"""What is near chance, by hand, and that every epoch's record has the share of the most frequent class."""

import pytest
import torch

from iemf.training.chance import is_near_chance, share_of_most_frequent


@pytest.mark.parametrize("labels", [[0, 1, 1, 2], torch.tensor([2, 0, 2, 1])])
def test_the_share_of_the_most_frequent_class(labels):
    assert share_of_most_frequent(labels) == 50


@pytest.mark.parametrize(
    ("accuracy", "chance", "near"),
    [
        (14.9, 10, True),  # below 1.5 times 10
        (15.0, 10, False),
        (1.4, 1, True),
        (1.6, 1, False),
        (59.9, 50, True),  # less than ten points above 50
        (60.0, 50, False),
        (91.0, 90, True),
        (0.0, 10, True),
    ],
)
def test_what_is_near_chance(accuracy, chance, near):
    assert is_near_chance(accuracy, chance) == near
