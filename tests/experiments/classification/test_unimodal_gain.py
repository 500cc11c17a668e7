"""Branches trained on alone: which runs there are and what they begin with, and the report."""

import csv
import json
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.classification import build, compare, unimodal_gain
from experiments.classification.compare import CompareConfig
from experiments.classification.robustness import test_data as data_of
from experiments.classification.unimodal_gain import UnimodalGainConfig, chosen, following, grid, trained_on
from experiments.classification.unimodal_gain_report import Courses, cells_of, comparisons, draw
from iemf.training import RunFolder, checkpoint
from tests.experiments import helpers

COMPARED = CompareConfig(
    epochs=2, width=4, batch_size=120, methods=("ogm-ge",), networks=("ann",), seeds=(0, 1), jobs=1, progress=False
)
ORDER = ["alone, 2", "alone, 4", "alone, 2 + 2", "branch of vanilla, 2 + 2", "branch of joint, 2 + 2",
         "branch of IEMF, 2 + 2"]  # fmt: skip


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    """A comparison of ANNs of two seeds with networks of one modality, and an SNN of one seed without."""
    config = replace(COMPARED, out=tmp_path_factory.mktemp("compared"))
    compare.main(replace(config, networks=("snn",), seeds=(0,), variants=("iemf",), time_steps=2))
    compare.main(replace(config, unimodal=True))
    return config.out


@pytest.fixture(scope="module")
def finished(runs, tmp_path_factory):
    config = UnimodalGainConfig(runs=runs, out=tmp_path_factory.mktemp("gain"), jobs=1, progress=False)
    unimodal_gain.main(config)
    return config


def content(config):
    return json.loads((config.out / "unimodal_gain.json").read_text())


def told(call, *arguments):
    code, _, error = call("unimodal_gain", *arguments)
    assert (code, len(error.splitlines())) == (2, 1), error
    return error


def test_every_course_of_every_network_and_modality_has_a_row(finished):
    rows = helpers.rows_of((finished.out / "table.md").read_text())
    assert [row[:3] for row in rows if row[0] == "ANN"] == [
        ["ANN", modality, course] for modality in ("sound", "images") for course in ORDER
    ]
    # of the SNN there is IEMF alone
    assert [row[2] for row in rows if row[:2] == ["SNN", "images"]] == [*ORDER[:3], ORDER[5]]
    assert [row[3] == "–" for row in rows[:6]] == [True, True, False, False, False, False]
    records = list(csv.DictReader((finished.out / "unimodal_gain.csv").open()))
    assert len(records) == 2 * (6 * 2 + 4)
    assert all((r["firing_rate"] != "") == (r["network"] == "snn") for r in records)
    assert (finished.out / "unimodal_gain.png").stat().st_size > 20_000


def test_numbers_are_those_of_the_runs(finished):
    rows = {(r["network"], r["modality"], r["course"], r["seed"]): r for r in content(finished)["runs"]}
    branch = rows["ann", "audio", "joint", 1]
    source = RunFolder(finished.runs / "runs" / "ann-ogm-ge-joint-seed1").results()
    own = RunFolder(finished.out / "runs" / "ann-audio-from-ogm-ge-joint-seed1").results()
    assert branch["test_accuracy_before"] == source["test_accuracy_audio"]
    assert branch["test_accuracy"] == own["test_accuracy"]
    alone = RunFolder(finished.runs / "runs" / "ann-audio-alone-seed1").results()
    assert rows["ann", "audio", "alone", 1]["test_accuracy"] == alone["test_accuracy"]
    assert rows["ann", "audio", "alone-on", 1]["test_accuracy_before"] == alone["test_accuracy"]
    of = {(r["network"], r["modality"], r["course"], r["against"]): r for r in content(finished)["comparisons"]}
    pairs = of["ann", "audio", "joint", "alone-on"]["differences"]
    assert pairs[1] == branch["test_accuracy"] - rows["ann", "audio", "alone-on", 1]["test_accuracy"]
    table = helpers.rows_of((finished.out / "table.md").read_text())
    assert float(table[4][5].split(" ")[0]) == pytest.approx(statistics.fmean(pairs), abs=0.006)


def test_networks_alone_are_those_of_the_comparison_where_it_has_them(finished):
    mine = {path.name for path in (finished.out / "runs").iterdir()}
    assert "ann-audio-alone-seed0" not in mine
    assert {"snn-audio-alone-seed0", "ann-audio-alone-4-epochs-seed0", "ann-audio-from-alone-seed0"} <= mine
    assert len(mine) == 2 * (6 * 2 + 4) - 4


def test_what_is_trained_on_begins_with_the_best_weights_and_has_the_stated_course(finished):
    config = replace(finished, runs=finished.runs.absolute(), out=finished.out.absolute())
    both = chosen(config)
    run = next(run for run in both if (run.variant, run.seed) == ("iemf", 1) and run.network == "ann")
    on = trained_on(run, run, "visual", config)
    assert (on.epochs, on.lr, on.schedule, on.warmup, on.method, on.seed) == (2, 0.1 * run.lr, "cosine", 0, None, 1)
    network = build.build_network(on, data_of(replace(run, seed=0)))
    kept = checkpoint.load(RunFolder(run.out).best_checkpoint)["network"]
    for name, value in network.state_dict().items():
        assert (value == kept[f"visual_{name}"]).all(), name


def test_run_again_it_repeats_nothing_and_one_that_is_missing_is_made_as_it_was(finished, capsys):
    folder = finished.out / "runs" / "ann-audio-from-alone-seed0"
    before = {path: path.stat().st_mtime_ns for path in finished.out.glob("runs/*/results.json")}
    results = RunFolder(folder).results()
    (folder / "results.json").unlink()  # as if it had been killed while it was tested
    unimodal_gain.main(replace(finished, collect=True))
    assert "1 run(s) are not finished" in (finished.out / "table.md").read_text()
    unimodal_gain.main(finished)
    assert RunFolder(folder).results()["test_accuracy"] == results["test_accuracy"]
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path.parent.name for path in before if after[path] != before[path]} == {folder.name}
    assert "6 runs: 5 finished, 1 to go" in capsys.readouterr().out


def test_a_plan_names_every_course_and_trains_nothing(finished, tmp_path, capsys):
    out = tmp_path / "plan"
    unimodal_gain.main(replace(finished, out=out, dry_run=True, networks=("ann",)))
    plan = helpers.rows_of(capsys.readouterr().out)
    assert sorted(row[2] for row in plan) == sorted(2 * ORDER)
    assert not out.exists()


def test_nobody_is_trained_on_before_it_is_finished(finished, tmp_path):
    config = replace(finished, runs=finished.runs.absolute(), out=tmp_path, networks=("snn",))
    both = chosen(config)
    assert following(config, both, grid(config, both)) == []


def test_options_are_refused_in_one_line(finished, tmp_path, call):
    runs = ("--runs", finished.runs)
    assert "no finished run in" in told(call, *runs, "--method", "lfm", "--out", tmp_path)
    assert "its methods: ogm-ge" in told(call, *runs, "--seeds", 7, "--out", tmp_path)
    assert "--out" in told(call, *runs, "--out", finished.runs)
    assert "--epochs 0 must be 1 or more" in told(call, *runs, "--epochs", 0)
    assert "--lr 0 must be a positive finite number" in told(call, *runs, "--lr", 0)
    assert "--modalities audio audio: name at least one, each once" in told(
        call, *runs, "--modalities", "audio", "audio"
    )
    assert "--runs is the --out of" in told(call, "--runs", tmp_path)
    assert "has epochs=2, this run 1" in told(call, *runs, "--epochs", 1, "--out", finished.out)


def test_differences_by_hand():
    """Of alone-on 1, 2: joint is 3, 6 above zero; differences 2 and 4, t = 3 on one degree of freedom: p = 0.2048."""
    rows = [{"network": "ann", "modality": "audio", "course": course, "seed": seed, "test_accuracy": value}
            for course, values in {"alone-on": (1, 2), "vanilla": (2, 3), "joint": (3, 6)}.items()
            for seed, value in enumerate(values)]  # fmt: skip
    of = {(r["course"], r["against"]): r for r in comparisons(cells_of(rows))}
    assert set(of) == {("vanilla", "alone-on"), ("joint", "alone-on"), ("joint", "vanilla")}
    assert of["joint", "alone-on"]["differences"] == [2, 4]
    assert of["joint", "alone-on"]["p"] == pytest.approx(0.2048, abs=1e-4)
    assert of["vanilla", "alone-on"]["p_holm"] == 0  # equal differences
    assert of["joint", "alone-on"]["p_holm"] == pytest.approx(0.2048, abs=1e-4)  # the larger of two


def test_courses_in_words():
    courses = Courses(12, 6, {Path("x"): "iemf"})
    assert [courses.label(c) for c in ("alone", "alone-longer", "alone-on", "iemf")] == [
        "alone, 12", "alone, 18", "alone, 12 + 6", "branch of IEMF, 12 + 6"]  # fmt: skip


def test_the_picture_is_drawn_from_saved_records_alone(finished, tmp_path):
    draw(content(finished)["runs"], Courses(2, 2, {}), tmp_path / "again.png", "title")
    assert (tmp_path / "again.png").stat().st_size > 20_000


def test_the_script_makes_the_runs_first(tmp_path):
    calls, done = helpers.asked("unimodal_gain.sh", tmp_path, "--networks", "ann", OUT="mine", RUNS="there")
    assert done.returncode == 0, done.stderr
    runs = str(tmp_path / "there")
    assert calls == [
        ("compare", ["--dataset", "av-digits", "--out", runs]),
        ("unimodal_gain", ["--runs", runs, "--out", str(tmp_path / "mine"), "--networks", "ann"]),
    ]
