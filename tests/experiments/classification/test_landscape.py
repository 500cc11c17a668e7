"""The landscape of a comparison's runs: what is measured, kept, tabulated and drawn."""

import csv
import json
import math
import os
import shutil
import subprocess
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from experiments.classification import build, landscape, landscape_report, surroundings
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.landscape import LandscapeConfig
from experiments.classification.robustness import find_runs, shared_options
from experiments.classification.run import train
from experiments.sweep.command_line import as_options
from iemf.data.base import evaluation_loader
from iemf.errors import UserError
from iemf.training import RunFolder, checkpoint
from tests.conftest import ROOT
from tests.experiments import helpers

PICTURES = ["eigenvalues.png", "lines.png", "plane_ann_concat.png", "plane_snn_concat.png", "sharpness.png"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """ANNs, 3 variants x 2 seeds, and one SNN."""
    shared = CompareConfig(epochs=1, width=2, batch_size=100, methods=("concat",), networks=("ann",), seeds=(0, 1),
                           out=tmp_path_factory.mktemp("c"))  # fmt: skip
    spiking = replace(shared, networks=("snn",), variants=("iemf",), seeds=(0,), time_steps=2)
    with helpers.few_digits():
        for config in [*grid(shared), *grid(spiking)]:
            train(replace(config, progress=False))
    return shared.out


@pytest.fixture(scope="module")
def finished(runs, tmp_path_factory):
    config = LandscapeConfig(runs, tmp_path_factory.mktemp("landscape"), samples=20, points=3, plane_points=3,
                             fusion_radii=(1.0, 0.1), radii=(0.1,), ascent_steps=2, eigenvalues=2, iterations=3,
                             batch_size=8, progress=False)  # fmt: skip
    with helpers.pool_of_one(), helpers.few_digits():
        landscape.main(config)
    return config


def content(config):
    return json.loads((config.out / "landscape.json").read_text())


def run_of(config, **cell):
    [found] = [r for r in content(config)["runs"] if all(r[name] == value for name, value in cell.items())]
    return found


def test_at_the_origin_stands_the_loss_of_evaluation_on_those_samples(finished, small):
    """Computed anew from the checkpoint: every 12th of the 240 training samples."""
    for config in find_runs(finished.runs)[0]:
        data = build.build_data(config)
        network = build.build_network(config, data)
        network.load_state_dict(checkpoint.load(RunFolder(config.out).best_checkpoint)["network"])
        network.eval()
        batch = next(iter(evaluation_loader(data.train, 240)))
        with torch.no_grad():
            logits = network(batch.audio[::12], batch.visual[::12]).logits.fused
        loss = float(F.cross_entropy(logits, batch.label[::12]))
        record = run_of(finished, network=config.network, variant=config.variant, seed=config.seed)
        assert record["line"]["loss"][1] == pytest.approx(loss, rel=1e-5)
        for weights in surroundings.WEIGHTS:
            assert record["sharpness"][weights]["loss"] == pytest.approx(loss, rel=1e-5)
        if "plane" in record:
            assert record["plane"]["loss"][1][1] == record["line"]["loss"][1]
            # the line is the plane's first direction
            assert [row[1] for row in record["plane"]["loss"]] == record["line"]["loss"]


def test_what_a_record_has(finished):
    records = content(finished)["runs"]
    assert [(r["network"], r["variant"], r["seed"], "plane" in r) for r in records] == [
        *(("ann", v, s, s == 0) for v in ("vanilla", "joint", "iemf") for s in (0, 1)), ("snn", "iemf", 0, True)
    ]  # fmt: skip
    for record in records:
        fusion = record["sharpness"]["fusion"]
        assert fusion["radii"] == [0.1, 1.0]
        assert 0 < fusion["values"][0] < fusion["values"][1]
        assert record["line"]["steps"] == [-1.0, 0.0, 1.0]
        products = {w: record["eigenvalues"][w]["products"] for w in surroundings.WEIGHTS}
        last = "differences" if record["network"] == "snn" else "double backward"
        assert products == {"fusion": "double backward", "all": last}
        assert record["eigenvalues"]["fusion"]["asymmetry"] < 1e-3
        assert record["eigenvalues"]["fusion"]["eigenvalues"][0] > 0


def test_the_fusions_objective_is_the_networks_loss(finished, small):
    """On kept features, as by the whole network; and its gradient is that of the fusion's part."""
    config = find_runs(finished.runs)[0][0]
    data, batches = surroundings.samples(shared_options(config), "train", 20, 8)
    assert [len(b.label) for b in batches] == [8, 8, 4]
    network = surroundings.trained_network(config, data, torch.device("cpu"))
    of = surroundings.objectives(network, batches)
    (alone, part), (together, whole) = (of[weights].gradient() for weights in surroundings.WEIGHTS)
    assert alone == pytest.approx(together, rel=1e-5)
    torch.testing.assert_close(part, whole[-len(part) :], rtol=1e-4, atol=1e-6)
    heads = {id(p) for head in network.heads.values() for p in head.parameters()}
    assert {id(p) for p in of["all"].parameters} == {id(p) for p in network.parameters()} - heads


def test_table_csv_and_json_hold_the_same_numbers(finished):
    stored = content(finished)
    lines = list(csv.DictReader((finished.out / "landscape.csv").open()))
    assert len(lines) == 7 * (2 + 2 + 2 + 2 + 1 + 2)
    by_hand = {(r["network"], r["variant"], r["seed"]): r["sharpness"]["fusion"]["values"][1] for r in stored["runs"]}
    for line in lines:
        if (line["weights"], line["quantity"], line["at"]) == ("fusion", "sharpness", "1.0"):
            assert float(line["value"]) == by_hand[line["network"], line["variant"], int(line["seed"])]
    rows = helpers.rows_of((finished.out / "table.md").read_text())
    [row] = [row for row in rows if row[1:4] == ["ANN", "fusion", "S(ρ = 1)"]]
    ours, theirs = ([by_hand["ann", variant, seed] for seed in (0, 1)] for variant in ("iemf", "joint"))
    assert row[6].startswith(f"{sum(ours) / 2:.3g} ± ")
    assert row[7] == "IEMF < vanilla"
    assert row[9].startswith(f"{sum(a < b for a, b in zip(ours, theirs, strict=True))} of 2, p ")
    [row] = [row for row in rows if row[1:4] == ["SNN", "all", "λ1"]]
    assert row[4:6] == row[8:] == ["–", "–"]
    assert row[7] == "–"


def test_the_pictures_are_drawn_from_the_records_alone(finished, tmp_path):
    shutil.copy(finished.out / "landscape.json", tmp_path)
    landscape_report.draw(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["landscape.json", *PICTURES])
    for name in PICTURES:
        assert (tmp_path / name).read_bytes() == (finished.out / name).read_bytes()


def test_run_again_it_measures_what_is_missing_alone(finished, small, monkeypatch, capsys):
    files = sorted((finished.out / "measurements").iterdir())
    assert len(files) == 7
    before = {file: file.read_text() for file in files}
    measured = []
    measure = surroundings.measure
    monkeypatch.setattr(surroundings, "measure", lambda part, *rest: measured.append(part) or measure(part, *rest))
    monkeypatch.setattr(landscape_report, "draw", lambda out: None)
    files[2].unlink()
    landscape.main(finished)
    assert "7 runs: 6 measured, 1 to go" in capsys.readouterr().out
    assert measured == ["line", "sharpness", "eigenvalues"] + ["plane"] * ("seed0" in files[2].name)
    assert {file: file.read_text() for file in files} == before
    measured.clear()
    landscape.main(finished)
    landscape.main(replace(finished, plane_points=0))  # what is known but not asked for is kept, and not shown
    assert not any("plane" in record for record in content(finished)["runs"])
    landscape.main(replace(finished, networks=("snn",)))
    assert len(content(finished)["runs"]) == 1
    assert measured == []
    landscape.main(replace(finished, iterations=2, networks=("snn",)))
    assert measured == ["eigenvalues"]
    landscape.main(finished)
    assert {file: file.read_text() for file in files} == before


def test_other_weights_are_measured_anew(finished, tmp_path):
    config = find_runs(finished.runs)[0][0]
    wanted = landscape.settings_of(finished, plane=True)
    assert landscape.plan(config, wanted, finished.out).missing == {}
    config = replace(config, out=shutil.copytree(config.out, tmp_path / config.out.name))
    assert landscape.plan(config, wanted, finished.out).missing == {}
    weights = checkpoint.load(RunFolder(config.out).best_checkpoint)
    weights["network"]["audio_head.bias"] += 1
    checkpoint.save(RunFolder(config.out).best_checkpoint, weights)
    assert landscape.plan(config, wanted, finished.out).missing == wanted


def test_a_dry_run_measures_nothing_and_says_how_long(finished, small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(surroundings, "measure", lambda *a: pytest.fail("measured"))
    landscape.main(replace(finished, out=tmp_path / "out", dry_run=True))
    told = capsys.readouterr().out
    assert "7 runs: 0 measured:\nANN: 6 runs to go, about" in told
    assert "SNN: 1 runs to go, about" in told
    assert "a pass over 20 samples" in told
    assert not (tmp_path / "out").exists()
    landscape.main(replace(finished, dry_run=True))
    assert "nothing is left to measure" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"radii": ()}, "--radii : name positive finite numbers, each once"),
        ({"radii": (0.1, 0.1)}, "--radii 0.1 0.1: name"),
        ({"fusion_radii": (0.0,)}, "--fusion-radii 0: name positive"),
        ({"points": 4}, "--points 4 must be odd"),
        ({"points": 0}, "--points 0 must be odd"),
        ({"plane_points": 1}, "--plane-points 1 must be odd"),
        ({"span": float("inf")}, "--span inf must be a positive"),
        ({"distance": 0.0}, "--distance 0.0 must be a positive"),
        ({"samples": 0}, "--samples 0 must be 1 or more"),
        ({"iterations": 2}, "--iterations 2 must be --eigenvalues 3 or more"),
        ({"methods": ()}, "--methods is empty"),
    ],
)
def test_options_out_of_range(tmp_path, change, message):
    with pytest.raises(UserError) as error:
        landscape.main(replace(LandscapeConfig(tmp_path / "runs", tmp_path / "out"), **change))
    assert message in as_options(str(error.value))
    assert not (tmp_path / "out").exists()


def test_folders_and_runs_that_are_not_there(finished, tmp_path):
    with pytest.raises(UserError, match=r"table\.md would be lost"):
        landscape.main(LandscapeConfig(finished.runs, finished.runs))
    with pytest.raises(UserError, match="holds no runs"):
        landscape.main(LandscapeConfig(tmp_path, tmp_path / "out"))
    with pytest.raises(UserError, match="has one of `methods` lfm and `networks` ann snn"):
        landscape.main(replace(finished, methods=("lfm",)))
    with pytest.raises(UserError, match="`plane_seed` 7 is none of the runs' seeds 0 1"):
        landscape.main(replace(finished, plane_seed=7))


# Words of the table --------------------------------------------------------------------------------------------------


def test_a_verdict_counts_rows_by_their_means_and_tests():
    def row(quantity, vanilla, iemf):
        values = {v: dict(zip("012", x, strict=True)) for v, x in (("vanilla", vanilla), ("iemf", iemf))}
        return {"quantity": quantity, "at": 0.1, "values": values}

    sure, unsure = row("sharpness", (1.0, 1.1, 1.2), (0.5, 0.61, 0.72)), row("sharpness", (1.0, 1, 1), (0.5, 3.0, 1.1))
    told = landscape_report.verdicts([sure, unsure, row("loss", (1.0, 1, 1), (0.0, 0, 0))])
    assert "in each of the 2 rows" in told
    assert "Against vanilla, of 2 rows the mean is lower in 1 (1 by a paired" in told
    assert "higher in 1 (0)" in told
    assert "joint" not in told
    assert landscape_report.below([-0.5, -0.49, -0.48]).startswith("3 of 3, p 0.0001")
    assert landscape_report.below([-0.5]) == "1 of 1"
    assert landscape_report.spread([0.0123, 0.0125]) == "0.0124 ± 0.00014"


def test_no_number_is_lost_in_the_json():
    content = {"settings": {"a": [1]}, "summary": [{"x": 0.1}, {"y": [1.5, None]}], "runs": [{"z": '"runs": null'}]}
    text = landscape_report.as_json(content)
    assert json.loads(text) == content
    assert len(text.splitlines()) == 14  # a line a run
    with pytest.raises(ValueError, match="not JSON compliant"):
        landscape_report.as_json({"summary": [], "runs": [math.nan]})


def test_the_script_trains_and_then_measures(tmp_path):
    assert os.access(ROOT / "experiments" / "landscape.sh", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / "experiments" / "landscape.sh"], check=True)
    calls, done = helpers.asked("landscape.sh", tmp_path, "--points", "5", RUNS="mine", OUT="/there")
    assert done.returncode == 0, done.stderr
    assert [(name, " ".join(arguments)) for name, arguments in calls] == [
        ("compare", f"--dataset av-digits --out {tmp_path}/mine"),
        ("landscape", f"--runs {tmp_path}/mine --out /there --points 5"),
    ]
    calls, _ = helpers.asked("landscape.sh", tmp_path)
    assert " ".join(calls[1][1]) == "--runs runs/av-digits --out runs/landscape"
