"""The paper's table of question answering beside the types of question that this toolkit knows."""

import pytest

from experiments.sweep import published
from iemf.avqa.accuracy import COLUMNS
from iemf.avqa.questions import TYPES


def test_the_columns_are_those_of_the_paper():
    assert set(COLUMNS) == set(published.avqa()["baseline", "vanilla"])


def test_joint_learning_alone_is_of_the_readme():
    """Table S5 has none."""
    overall = {(model, variant): published.avqa_overall(model, variant)
               for model in ("baseline", "st-avqa") for variant in ("vanilla", "joint", "iemf")}  # fmt: skip
    assert overall["st-avqa", "joint"] == 70.71
    assert overall["baseline", "joint"] is None
    assert overall["baseline", "iemf"] == 70.82
    assert all(("vanilla" in cell) <= (value is not None) for cell, value in overall.items())


def test_the_papers_averages_follow_from_the_test_counts():
    """Table S5's own types and the official counts give its averages, to the rounding."""
    counts = dict(zip(TYPES, (1022, 601, 1199, 1228, 995, 927, 1274, 1115, 824), strict=True))
    for row in published.avqa().values():
        for name, kinds in COLUMNS.items():
            column = {of[0]: key for key, of in COLUMNS.items() if len(of) == 1}
            mean = sum(counts[k] * row[column[k]] for k in kinds) / sum(counts[k] for k in kinds)
            assert row[name] == pytest.approx(mean, abs=0.06), name
