"""Splits: sizes to the sample, strata, seeds."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iemf.data.split import draw_split, draw_validation
from iemf.errors import UserError

labels = st.lists(st.integers(0, 4), min_size=1, max_size=200)


@given(labels, st.floats(0.05, 0.95), st.integers(0, 5))
def test_every_class_gives_its_share_and_the_sum_is_exact(labels, share, seed):
    chosen = draw_split(labels, share, seed)
    assert sum(chosen) == round(share * len(labels))
    for label, count in Counter(labels).items():
        given_away = sum(c for c, of in zip(chosen, labels, strict=True) if of == label)
        assert abs(given_away - share * count) < 1
    assert draw_split(labels, share, seed) == chosen


def test_by_hand():
    """Ten of three classes at 0.3: shares 1.5, 0.9 and 0.6 give 1, 0, 0, and two rests of 0.9 and 0.6."""
    labels = [0] * 5 + [1] * 3 + [2] * 2
    chosen = draw_split(labels, 0.3, 0)
    assert [sum(chosen[:5]), sum(chosen[5:8]), sum(chosen[8:])] == [1, 1, 1]


def test_seeds_differ():
    labels = [0] * 50 + [1] * 50
    assert len({tuple(draw_split(labels, 0.3, seed)) for seed in range(5)}) == 5
    assert len({tuple(draw_validation(labels, "ab", seed)) for seed in range(5)}) == 5


@given(st.lists(st.integers(2, 60), min_size=1, max_size=5), st.integers(0, 5))
def test_validation_takes_a_tenth_of_each_class_and_at_least_one(counts, seed):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    aside = draw_validation(labels, "abcde", seed)
    for label, count in enumerate(counts):
        taken = sum(a for a, of in zip(aside, labels, strict=True) if of == label)
        assert taken == max(1, round(0.1 * count))


def test_a_class_of_one_cannot_be_validated():
    with pytest.raises(UserError, match="class 'b' has one training clip"):
        draw_validation([0, 0, 1], "ab", 0)
