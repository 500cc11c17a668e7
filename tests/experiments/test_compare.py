"""The grid and its report."""

import csv
import json
import shutil
from dataclasses import replace

import pytest

from experiments import compare, published, report
from experiments.compare import CompareConfig, grid
from experiments.options import resolve
from iemf.errors import UserError
from iemf.training import RunFolder

SMALL = CompareConfig(epochs=1, width=2, batch_size=250, methods=("concat",), seeds=(0, 1), time_steps=2, jobs=2)


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


def test_a_run_that_is_missing_is_made_and_others_left_alone(finished):
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
    monkeypatch.setattr(compare, "run_grid", lambda *a: pytest.fail("trained"))
    compare.main(replace(finished, collect=True, seeds=(0, 1, 2)))
    assert "6 run(s) of the grid are not finished" in (finished.out / "table.md").read_text()


def test_settings_of_one_network_or_variant_stay_out_of_the_others(finished):
    for config in grid(replace(SMALL, gamma=2.0)):
        resolved = resolve(config)
        assert resolved.gamma == (2.0 if config.iemf else None)
        assert resolved.time_steps == (2 if config.network == "snn" else None)


def fake(tmp_path, accuracies, dataset="av-digits"):
    """Runs with made-up results, {(variant, seed): accuracy}."""
    runs = []
    for config in grid(CompareConfig(out=tmp_path, networks=("ann",), methods=("ogm-ge",), seeds=(0, 1, 2))):
        value = accuracies.get((config.variant, config.seed))
        if value is not None:
            folder = RunFolder(config.out)
            folder.start(resolve(config).stored())
            parts = {"test_accuracy": value, "test_accuracy_audio": 1.0, "test_accuracy_visual": 2.0}
            folder.results_file.write_text(json.dumps(parts | {"val_accuracy": 50.0, "best_epoch": 0}))
            record = {"val_accuracy_fused": value, "xi": 1.2 if config.iemf else None}
            folder.write_metrics([record, record])
        runs.append(config)
    return runs


def test_differences_are_paired_by_seed(tmp_path):
    runs = fake(tmp_path, {("vanilla", 0): 50.0, ("vanilla", 1): 60.0, ("vanilla", 2): 70.0,
                           ("iemf", 0): 52.0, ("iemf", 1): 63.0, ("joint", 1): 64.0})  # fmt: skip
    table = report.write(runs, tmp_path)
    row = [cell.strip() for cell in table.splitlines()[2].split("|")[1:-1]]
    # vanilla 60 ± 10; joint one seed; iemf 57.5 ± 7.78; differences 2, 3 -> 2.5 ± 0.71; and 63 - 64
    assert row == ["OGM-GE", "ANN", "60.00 ± 10.00", "64.00", "57.50 ± 7.78", "+2.50 ± 0.71", "-1.00"]
    assert "3 run(s) of the grid are not finished" in table
    assert "over 1 to 3 seeds" in table


def test_the_papers_numbers_stand_beside_ours_where_it_has_the_data_set():
    numbers = published.accuracies("crema-d")
    assert numbers["ann", "ogm-ge", "iemf"] == 71.10
    assert numbers["snn", "lfm", "vanilla"] == 63.58
    assert len(numbers) == 16
    assert len(published.accuracies("kinetics-sounds")) == len(published.accuracies("urbansound8k-av")) == 16
    assert published.accuracies("av-digits") == {}


def test_a_table_has_a_column_for_the_papers_numbers(monkeypatch, tmp_path):
    runs = fake(tmp_path, {("vanilla", 0): 50.0, ("iemf", 0): 52.0})
    cells = {("ann", "ogm-ge", v): {0: {"test_accuracy": a}} for v, a in (("vanilla", 50.0), ("iemf", 52.0))}
    table = report.markdown(cells, replace(resolve(runs[0]), dataset="crema-d"), unfinished=0)
    assert "| 68.68" in table
    assert "| 71.10" in table
    assert "would tell them apart" in table  # no joint-learning control here


def test_mean_and_deviation_by_hand():
    assert report.plus_minus([]) == "–"
    assert report.plus_minus([3.0]) == "3.00"
    assert report.plus_minus([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert report.plus_minus([1.0, 2.0], signed=True) == "+1.50 ± 0.71"


def test_a_table_never_claims_options_the_runs_did_not_have(finished, tmp_path):
    with pytest.raises(UserError, match=r"width=2, this run 16"):
        compare.main(replace(finished, collect=True, width=16))
    shared = json.loads((finished.out / "results.json").read_text())["settings"]
    assert (shared["width"], shared["gamma"], shared["time_steps"]) == (2, 1.0, 2)


def test_one_failed_run_does_not_cost_the_table(tmp_path):
    """A checkpoint of one run is damaged; the others are made and tabulated, and the message names it."""
    config = replace(SMALL, out=tmp_path, networks=("ann",), variants=("vanilla",), seeds=(0, 1), time_steps=None)
    broken = grid(config)[1]
    folder = RunFolder(broken.out)
    folder.start(resolve(broken).stored())
    folder.last_checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"1 of 2 runs failed.*seed1.*not a readable checkpoint"):
        compare.main(config)
    assert "1 run(s) of the grid are not finished" in (tmp_path / "table.md").read_text()


def test_paired_differences_in_words():
    """One row clearly above zero, one clearly below, one neither; a single difference is not tested."""
    text = report.paired("A − B", [[1.0, 1.1, 0.9], [-1.0, -1.1, -0.9], [0.1, -0.1, 0.0], [5.0]])
    assert text == (
        " A − B: 4 of 9 paired differences are positive, 4 negative; of 3 rows 1 gain and 1 lose by a paired t-test at "
        "5 %, uncorrected."
    )
    assert report.paired("A − B", [[5.0]]) == ""
    assert "0 gain and 0 lose" in report.paired("A − B", [[0.0, 0.0]])
    assert "1 gain and 0 lose" in report.paired("A − B", [[1.0, 1.0]])
