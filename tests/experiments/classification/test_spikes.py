"""Accuracy, firing rate and energy over T."""

import json
from dataclasses import replace

import pytest

from experiments.classification import spikes, spikes_report
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.report import LABELS
from experiments.classification.run import train
from experiments.classification.spikes import SpikesConfig
from experiments.firing_rates import inspect
from iemf.analysis.spikes_plot import over_time_steps
from iemf.errors import UserError
from iemf.training import RunFolder
from tests.experiments import helpers


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """An ANN and an SNN of T = 1, two seeds, and one seed of T = 2."""
    root = tmp_path_factory.mktemp("spikes")
    shared = CompareConfig(
        epochs=1, width=2, batch_size=100, methods=("concat",), variants=("joint",), networks=("ann",), seeds=(0, 1),
        out=root / "ann",
    )  # fmt: skip
    of_steps = [replace(shared, networks=("snn",), time_steps=t, seeds=s, out=root / f"T{t}")
                for t, s in ((1, (0, 1)), (2, (1,)))]  # fmt: skip
    with helpers.few_digits():
        for config in (shared, *of_steps):
            for run in grid(config):
                train(replace(run, progress=False))
    return tuple(root / name for name in ("ann", "T1", "T2"))


@pytest.fixture(scope="module")
def finished(folders, tmp_path_factory):
    config = SpikesConfig(folders, tmp_path_factory.mktemp("out"), progress=False)
    with helpers.few_digits():
        spikes.main(config)
    return config


def test_records_are_those_of_the_runs(finished, folders):
    rows = json.loads((finished.out / "spikes.json").read_text())["runs"]
    assert [(r["network"], r["time_steps"], r["seed"]) for r in rows] == [
        ("ann", None, 0), ("ann", None, 1), ("snn", 1, 0), ("snn", 1, 1), ("snn", 2, 1)]  # fmt: skip
    run = next((folders[2] / "runs").iterdir())
    with helpers.few_digits():
        report = inspect(run, 100)
    last = rows[-1]
    assert last["firing_rate"] == report["firing_rate"]
    assert last["snn_microjoule"] == report["energy_per_sample"]["snn_microjoule"]
    assert last["test_accuracy"] == pytest.approx(RunFolder(run).results()["test_accuracy"])
    assert len((finished.out / "spikes.csv").read_text().splitlines()) == 6


def test_the_table_has_a_row_for_each_T_and_the_ann(finished):
    rows = helpers.rows_of((finished.out / "table.md").read_text())
    assert [row[2] for row in rows] == ["ANN", "SNN, T = 1", "SNN, T = 2"]
    assert [row[3] for row in rows] == ["2", "2", "1"]
    ann, _, two = (float(row[6].split(" ")[0]) for row in rows)
    assert float(rows[2][7]) == pytest.approx(two / ann, abs=0.02 + 0.01 / ann)


def test_what_is_measured_is_not_measured_again(finished, monkeypatch):
    monkeypatch.setattr(spikes, "of_encoders", lambda *_: pytest.fail("measured again"))
    before = (finished.out / "table.md").read_text()
    spikes.main(finished)
    assert (finished.out / "table.md").read_text() == before


def test_runs_that_have_one_T_or_other_options_are_refused(folders, tmp_path):
    with pytest.raises(UserError, match=r"two or more T \(T of concat: 1\)"):
        spikes.find(folders[:2])
    with pytest.raises(UserError, match="are the same run"):
        spikes.find((*folders, folders[1].parent / "ann" / ".." / "T2"))


def test_the_picture_is_drawn_from_saved_records_alone(finished, tmp_path):
    rows = json.loads((finished.out / "spikes.json").read_text())["runs"]
    over_time_steps(rows, LABELS, tmp_path / "again.png", "title")
    assert (tmp_path / "again.png").stat().st_size > 10_000


def test_the_table_counts_what_is_not_finished(finished, folders):
    configs, _ = spikes.find(folders)
    rows = json.loads((finished.out / "spikes.json").read_text())["runs"]
    assert "3 run(s) are not finished" in spikes_report.markdown(rows, configs[0], 3)
