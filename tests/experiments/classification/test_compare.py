"""The grid and its report."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from experiments.classification import compare, report
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.options import resolve
from experiments.sweep import execution
from iemf.errors import UserError
from iemf.training import RunFolder
from tests.experiments import helpers

SMALL = CompareConfig(epochs=1, width=2, batch_size=250, methods=("concat",), seeds=(0, 1), time_steps=1, jobs=2,
                      progress=False)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A grid of 2 networks x 1 method x 3 variants x 2 seeds, trained by two processes."""
    config = replace(SMALL, out=tmp_path_factory.mktemp("compare"))
    compare.main(config)
    return config


def test_every_cell_is_run_and_reported(finished):
    assert len(list((finished.out / "runs").iterdir())) == 12
    cells = json.loads((finished.out / "results.json").read_text())["cells"]
    assert [(c["network"], c["variant"], c["n"]) for c in cells] == [
        (n, v, 2) for n in ("ann", "snn") for v in ("vanilla", "joint", "iemf")
    ]
    for cell in cells:
        values = cell["test_accuracy"]["values"]
        assert cell["test_accuracy"]["mean"] == pytest.approx(sum(values) / 2)
        assert cell["test_accuracy"]["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert ("firing_rate" in cell) == (cell["network"] == "snn")
    rows = list(csv.DictReader((finished.out / "results.csv").open()))
    assert len(rows) == 12
    for name in ("accuracy.png", "firing_rates.png", "table.md"):
        assert (finished.out / name).stat().st_size > 300


def test_run_again_it_repeats_nothing(finished, capsys):
    files = list((finished.out / "runs").glob("*/results.json"))
    before = {p: p.stat().st_mtime_ns for p in files}
    compare.main(finished)
    assert {p: p.stat().st_mtime_ns for p in files} == before
    assert "12 finished, 0 to go" in capsys.readouterr().out


def test_a_run_that_is_missing_is_made_and_others_left_alone(finished, monkeypatch):
    monkeypatch.setattr(execution, "in_processes", helpers.in_this_process)
    folder = finished.out / "runs" / "ann-concat-iemf-seed1"
    results = (folder / "results.json").read_text()
    other = finished.out / "runs" / "ann-concat-iemf-seed0" / "results.json"
    before = other.stat().st_mtime_ns
    shutil.rmtree(folder)
    compare.main(finished)  # as many threads a run as before: sums of floats depend on it
    again = json.loads((folder / "results.json").read_text())
    assert again["test_accuracy"] == json.loads(results)["test_accuracy"]
    assert other.stat().st_mtime_ns == before


def test_collect_trains_nothing(finished, monkeypatch):
    monkeypatch.setattr(execution, "train_missing", lambda *a: pytest.fail("trained"))
    compare.main(replace(finished, collect=True, seeds=(0, 1, 2)))
    assert "6 run(s) of the grid are not finished" in (finished.out / "table.md").read_text()


def test_settings_of_one_network_or_variant_stay_out_of_the_others(finished):
    for config in grid(replace(SMALL, gamma=2.0)):
        resolved = resolve(config)
        assert resolved.gamma == (2.0 if config.iemf else None)
        assert resolved.time_steps == (1 if config.network == "snn" else None)
        assert ("gamma2" in config.out.name) == config.iemf


def fake(tmp_path, accuracies):
    """Runs with made-up results, {(variant, seed): accuracy}: (the finished ones with their results, all)."""
    done = []
    runs = grid(CompareConfig(out=tmp_path, networks=("ann",), methods=("ogm-ge",), seeds=(0, 1, 2)))
    for config in runs:
        value = accuracies.get((config.variant, config.seed))
        if value is not None:
            folder = RunFolder(config.out)
            folder.start(config.stored())
            parts = {"test_accuracy": value, "test_accuracy_audio": 1.0, "test_accuracy_visual": 2.0}
            folder.results_file.write_text(json.dumps(parts | {"val_accuracy": 50.0, "best_epoch": 0}))
            record = {"val_accuracy_fused": value, "xi": 1.2 if config.iemf else None}
            folder.write_metrics([record, record])
            done.append((config, folder.results()))
    return done, runs


def test_differences_are_paired_by_seed(tmp_path):
    done, runs = fake(tmp_path, {("vanilla", 0): 50.0, ("vanilla", 1): 60.0, ("vanilla", 2): 70.0,
                                 ("iemf", 0): 52.0, ("iemf", 1): 63.0, ("joint", 1): 64.0})  # fmt: skip
    table = report.write(done, tmp_path, len(runs) - len(done))
    # vanilla 60 ± 10; joint one seed; iemf 57.5 ± 7.78; differences 2, 3 -> 2.5 ± 0.71; and 63 - 64
    assert helpers.rows_of(table)[0] == [
        "OGM-GE", "ANN", "60.00 ± 10.00", "64.00", "57.50 ± 7.78", "+2.50 ± 0.71", "-1.00"]  # fmt: skip
    assert "3 run(s) of the grid are not finished" in table
    assert "over 1 to 3 seeds" in table
    assert "IEMF − vanilla: 2 of 2 paired differences are positive" in table
    assert "Schedules of OGM-GE: those of 100 epochs, stretched." in table


def test_a_table_has_a_column_for_the_papers_numbers(tmp_path):
    _, runs = fake(tmp_path, {})
    cells = {("ann", "ogm-ge", v): {0: {"test_accuracy": a, "best_epoch": 0}}
             for v, a in (("vanilla", 50.0), ("iemf", 52.0))}  # fmt: skip
    table = report.markdown(cells, [(replace(runs[0], dataset="crema-d"), {})], unfinished=0)
    assert "| 68.68" in table
    assert "| 71.10" in table
    assert "would tell them apart" in table  # no joint-learning control here


def test_a_table_never_claims_options_the_runs_did_not_have(finished):
    with pytest.raises(UserError, match=r"width=2, this run 16"):
        compare.main(replace(finished, collect=True, width=16))
    shared = json.loads((finished.out / "results.json").read_text())["settings"]
    assert (shared["width"], shared["gamma"], shared["time_steps"]) == (2, 1.0, 1)


def test_one_failed_run_does_not_cost_the_table(tmp_path):
    """A checkpoint of one run is damaged; the others are made and tabulated, and the message names it."""
    config = replace(SMALL, out=tmp_path, networks=("ann",), variants=("vanilla",), seeds=(0, 1), time_steps=None)
    broken = grid(config)[1]
    folder = RunFolder(broken.out)
    folder.start(resolve(broken).stored())
    folder.last_checkpoint.write_bytes(b"not a checkpoint")
    with (
        helpers.pool_of_one(),
        helpers.few_digits(),
        pytest.raises(UserError, match=r"1 of 2 runs failed.*seed1.*not a readable checkpoint"),
    ):
        compare.main(config)
    assert "1 run(s) of the grid are not finished" in (tmp_path / "table.md").read_text()
