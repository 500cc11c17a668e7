"""A comparison on data with a third modality, from options to table."""

import csv
from dataclasses import replace
from unittest import mock

import pytest

from experiments.classification import compare, robustness
from experiments.classification.compare import CompareConfig
from experiments.classification.options import RunConfig, resolve
from experiments.classification.robustness import RobustnessConfig
from iemf.data.sets import av_digits_scan
from iemf.errors import UserError
from tests.experiments import helpers

GRID = CompareConfig(dataset="av-digits-scan", epochs=1, width=2, batch_size=60, methods=("ogm-ge",),
                     variants=("iemf",), seeds=(0,), time_steps=2, unimodal=True, jobs=1,
                     progress=False)  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    config = replace(GRID, out=tmp_path_factory.mktemp("scan"))
    few = {"train": 24, "val": 8, "test": 8}
    with mock.patch.dict(av_digits_scan.SPLIT_PER_DIGIT, few), helpers.pool_of_one():
        compare.main(config)
    return config


def test_the_third_modality_is_in_every_file(compared):
    rows = list(csv.DictReader((compared.out / "results.csv").open()))
    assert len(rows) == 2 * (1 + 3)
    whole = [row for row in rows if row["variant"] != "alone"]
    assert all(0 <= float(row["test_accuracy_scan"]) <= 100 for row in whole)
    assert {row["method"] for row in rows if row["variant"] == "alone"} == {"audio", "visual", "scan"}
    table = (compared.out / "table.md").read_text()
    assert "scan alone" in table
    assert "| scans " in table
    assert "val_accuracy_scan" in (compared.out / "epochs.csv").read_text().splitlines()[0]


def test_noise_at_fixed_ratios_is_of_two(compared):
    with pytest.raises(UserError, match="av-digits-scan, which has audio, visual, scan"):
        robustness.main(RobustnessConfig(runs=compared.out, out=compared.out / "robustness"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modality": "scan"}, "`modality` scan is none of av-digits, which has audio, visual"),
        ({"dataset": "av-digits-scan", "fusion": "film"}, "`fusion` film is of two modalities"),
        ({"dataset": "av-digits-scan", "workers": 2}, "`workers` 2 is of no use to av-digits-scan"),
    ],
)
def test_what_does_not_go_together_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        resolve(RunConfig(**options))
