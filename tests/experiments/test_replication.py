"""Claims, what was measured, and the verdict that follows."""

import json

import pytest

from experiments import replication
from experiments.replication import Claim, differences, markdown, verdict
from tests.experiments import helpers


def test_differences_are_paired_and_averaged_by_seed():
    """Seed 0: (3 - 1 + 5 - 1)/2; seed 1 has one pair; seed 2 none; other variants and partners of other cells aside."""
    records = [{"network": n, "method": m, "variant": v, "seed": s, "a": a} for n, m, v, s, a in (
        ("ann", "x", "iemf", 0, 3), ("ann", "x", "joint", 0, 1), ("snn", "x", "iemf", 0, 5),
        ("snn", "x", "joint", 0, 1), ("ann", "x", "iemf", 1, 2), ("ann", "x", "joint", 1, 4),
        ("ann", "y", "iemf", 1, 9), ("ann", "x", "joint", 2, 4), ("ann", "x", "vanilla", 1, 70))]  # fmt: skip
    assert differences(records, "a", {"variant": "iemf"}, {"variant": "joint"}) == [3, -2]
    only = differences(records, "a", {"variant": "iemf"}, {"variant": "joint"}, lambda r: r["network"] == "ann")
    assert only == [2, -2]
    assert differences(records, "a", {"network": "snn"}, {"network": "ann"}) == [pytest.approx(1.0)]


def test_verdicts():
    assert verdict([1, 2], 0.01, 1) == "seen"
    assert verdict([1, 2], 0.01, -1) == "contradicted"
    assert verdict([-1, -2], 0.01, -1) == "seen"
    assert verdict([1, 2], 0.05, 1) == "not seen"
    assert verdict([-1, -2], 0.01, 0) == "contradicted"
    assert verdict([-1, -2], 0.05, 0) == verdict([1, 2], 0.01, 0) == "not contradicted"


def test_the_correction_counts_every_tested_claim():
    def claim(name, values, better=1):
        return Claim(name, "Table", "+1", "3", "points", values and (lambda: values), better)

    told = [("sure", [1.0, 1.1, 0.9], 1), ("against", [1.0, 1.1, 0.9], -1), ("open", [1.0, -1, 0], 1),
            ("one", [2.0], 1), ("no data", None, 1)]  # fmt: skip
    table = markdown([claim(*each) for each in told])
    rows = {row[0]: row[1:] for row in helpers.rows_of(table)}
    assert rows["sure"][:5] == ["**seen**", "+1", "+1.00 ± 0.10 points", "3", "0.010"]  # 3 · .0033
    assert rows["against"][0] == "**contradicted**"
    assert rows["open"][0] == "**not seen**"
    assert rows["one"][0] == rows["no data"][0] == "cannot be tested: no results yet"


def test_records_of_cells_are_by_seed(tmp_path, monkeypatch):
    cells = [{"network": "ann", "model": "baseline", "variant": "iemf", "n": 2, "seeds": [0, 7], "blind": [],
              "test_accuracy": {"mean": 2, "std": 1, "values": [1.0, 3.0]}},
             {"network": "ann", "model": "baseline", "variant": "iemf", "n": 1, "seeds": [0], "blind": ["audio"],
              "test_accuracy": {"mean": 9, "std": None, "values": [9.0]}}]  # fmt: skip
    (tmp_path / "r.json").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(replication, "RESULTS", tmp_path)
    assert [(r["seed"], r["test_accuracy"], r["method"]) for r in replication.of_json("r.json")] == [
        (0, 1.0, "baseline"), (7, 3.0, "baseline")]  # fmt: skip
    assert replication.of_json("none.json") == replication.of_csv("none.csv") == []


def test_the_papers_numbers():
    assert replication.paper_over_joint() == "+1.86 (+0.35 to +3.74)"
    assert replication.paper_cost() == "15.2 to 50.0"


def test_the_table_is_the_one_that_the_results_give():
    """To mend it: python -m experiments.replication."""
    assert replication.TABLE.read_text(encoding="utf-8") == f"{markdown()}\n"
