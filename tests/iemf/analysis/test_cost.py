"""The cost metric on curves made by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iemf.analysis.cost import LEVELS, cost, epochs_to, thresholds
from iemf.analysis.cost_plot import reductions


def test_thresholds_lie_where_all_curves_have_been():
    """Highest errors 90 and 70: from 70; lowest 10 and 30: to 30."""
    assert thresholds([[90, 50, 10], [70, 30, 40]]) == [70, 60, 50, 40, 30]
    with pytest.raises(ValueError, match="no error is common"):
        thresholds([[10, 5], [50, 20]])


def test_cost_by_hand():
    """Epochs to 70, 60, 50, 40, 30: first curve 2, 2, 2, 3, 3; second 1, 2, 2, 2, 2, though it rises again."""
    levels = thresholds([[90, 50, 10], [70, 30, 40]])
    assert cost([90, 50, 10], levels) == pytest.approx(12 / 5)
    assert cost([70, 30, 40], levels, operations=10) == pytest.approx(18)
    with pytest.raises(ValueError, match="never reaches 5"):
        epochs_to([90, 50, 10], 5)


@given(st.lists(st.lists(st.floats(0, 100), min_size=1, max_size=6), min_size=1, max_size=3))
def test_every_curve_reaches_every_threshold(curves):
    if min(map(max, curves)) < max(map(min, curves)):
        return
    levels = thresholds(curves)
    assert len(levels) == LEVELS
    assert all(1 <= epochs_to(curve, level) <= len(curve) for curve in curves for level in levels)


def test_the_picture_is_drawn(tmp_path):
    found = {("concat", n, c): [10.0, -5.0] for n in ("ann", "snn")
             for c in ("IEMF against vanilla", "joint against vanilla")}  # fmt: skip
    reductions(found, {"concat": "Concat"}, {"concat": 44.2}, tmp_path / "cost.png", "title")
    assert (tmp_path / "cost.png").stat().st_size > 10_000
