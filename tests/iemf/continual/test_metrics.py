"""Metrics on a matrix worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iemf.continual import metrics

MATRIX = [[90.0], [60.0, 80.0], [70.0, 40.0, 100.0]]


def test_by_hand():
    assert metrics.average_accuracies(MATRIX) == [90.0, 70.0, 70.0]
    assert metrics.average_incremental_accuracy(MATRIX) == pytest.approx(230 / 3)
    # After task 2: 90 - 60. After task 3: (90 - 70 + 80 - 40) / 2, the best of task 1 being its first.
    assert metrics.forgetting(MATRIX) == [30.0, 30.0]
    assert metrics.average_forgetting_rate(MATRIX) == 30.0


def test_the_best_so_far_counts_and_gains_are_negative():
    matrix = [[50.0], [80.0, 40.0], [60.0, 70.0, 10.0]]
    assert metrics.forgetting(matrix) == [-30.0, (80 - 60 + 40 - 70) / 2]


def test_one_task_cannot_be_forgotten():
    assert metrics.average_forgetting_rate([[55.0]]) is None


@given(st.integers(2, 6), st.floats(0, 100))
def test_constant_accuracy_is_its_own_mean_and_nothing_is_forgotten(tasks, value):
    matrix = [[value] * (k + 1) for k in range(tasks)]
    assert metrics.average_incremental_accuracy(matrix) == pytest.approx(value)
    assert metrics.average_forgetting_rate(matrix) == pytest.approx(0)


@pytest.mark.parametrize("matrix", [[], [[1.0, 2.0]], [[1.0], [2.0]]])
def test_other_shapes_are_refused(matrix):
    with pytest.raises(ValueError, match="row k"):
        metrics.forgetting(matrix)
