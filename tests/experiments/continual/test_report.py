"""The table of class-incremental learning."""

from pathlib import Path

import pytest

from experiments.continual import report
from experiments.continual.options import RunConfig, resolve
from tests.experiments.helpers import rows_of


def test_the_table_follows_from_the_results():
    cells = {
        ("ann", "ssil", variant): {
            seed: {"mean_accuracy": 50.0 + seed + gain, "average_forgetting": 10.0} for seed in (0, 2)
        }
        for variant, gain in (("joint", 0.0), ("iemf", 1.5))
    }
    done = [(resolve(RunConfig(method="ssil", variant=cell[2], seed=seed)), results)
            for cell, by_seed in cells.items() for seed, results in by_seed.items()]  # fmt: skip
    table = report.markdown(cells, done, 3)
    assert rows_of(table)[0] == [
        "SSIL", "ANN", "51.00 ± 1.41", "52.50 ± 1.41", "10.00 ± 0.00", "10.00 ± 0.00", "+1.50 ± 0.00", "+0.00 ± 0.00",
    ]  # fmt: skip
    assert "AIA, IEMF − joint: 2 of 2 paired differences are positive, 0 negative; of 1 rows 1 gain" in table
    assert "AFR, IEMF − joint: 0 of 2 paired differences are positive, 0 negative" in table
    assert "50 exemplars" in table
    assert "3 run(s) of the grid are not finished" in table


@pytest.mark.parametrize(("methods", "words"), [(("lwf", "av-cil"), "100 (LwF), 200 (AV-CIL)"), (("av-cil",), "200")])
def test_epochs_that_differ_are_named_by_method(methods, words):
    runs = [(resolve(RunConfig(dataset="k-s-ci", recipe="original", method=method, data_root=Path("x"))), {})
            for method in methods]  # fmt: skip
    assert report.epochs_of(runs) == words


def test_methods_without_a_memory_have_no_exemplars():
    assert report.exemplars([(resolve(RunConfig(method="lwf")), {})]) == "no exemplars"
