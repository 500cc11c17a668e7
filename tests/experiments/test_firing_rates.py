"""Firing rates of finished runs of all three tasks."""

import json

import pytest

from experiments.avqa import run as avqa
from experiments.continual import run as continual
from experiments.continual.options import RunConfig, resolve
from iemf.files import read_json
from tests.experiments.avqa import run_of

pytestmark = pytest.mark.usefixtures("small")


def test_firing_rates_of_a_run(call, tmp_path):
    options = ["--epochs", 1, "--width", 4, "--batch-size", 60, "--no-progress", "--time-steps", 2]
    assert call("classification", *options, "--network", "snn", "--out", tmp_path / "snn")[0] == 0
    code, out, error = call("firing_rates", "--run", tmp_path / "snn")
    assert code == 0, error
    report = json.loads((tmp_path / "snn" / "firing_rates.json").read_text())
    stored = json.loads((tmp_path / "snn" / "results.json").read_text())
    assert report["test_accuracy"] == stored["test_accuracy"]
    assert report["firing_rate"] == pytest.approx(stored["firing_rate"], rel=1e-6)
    assert report["time_steps"] == 2
    assert len(report["layers"]) == 40
    assert {layer["modality"] for layer in report["layers"]} == {"audio", "visual"}
    assert (tmp_path / "snn" / "firing_rates.png").stat().st_size > 10_000
    assert "µJ" in out


def test_a_run_without_spikes_and_one_that_is_not_finished_are_refused(call, tmp_path):
    options = ["--epochs", 1, "--width", 2, "--batch-size", 125, "--no-progress"]
    assert call("classification", *options, "--network", "ann", "--out", tmp_path / "ann")[0] == 0
    code, _, error = call("firing_rates", "--run", tmp_path / "ann")
    assert code == 2
    assert "no spikes" in error
    config = tmp_path / "ann" / "config.json"
    config.write_text(config.read_text().replace('"network": "ann"', '"network": "snn"'))
    (tmp_path / "ann" / "results.json").unlink()
    code, _, error = call("firing_rates", "--run", tmp_path / "ann")
    assert code == 2
    assert "is not finished; go on with it first: the same command with --resume" in error


def of_head(call, folder, names):
    results = read_json(folder / "results.json")
    code, out, error = call("firing_rates", "--run", folder)
    assert code == 0, error
    report = read_json(folder / "firing_rates.json")
    for name in ("test_accuracy", "firing_rate"):
        assert report[name] == results[name]
    assert report["layers"] == results["firing_rate_layers"]
    assert {layer["modality"] for layer in report["layers"]} == names
    assert (folder / "firing_rates.png").stat().st_size > 10_000
    assert f"overall rate {100 * results['firing_rate']:.1f} %" in out
    assert 0 < results["firing_rate"] < 1


def test_of_class_incremental_learning(call, tmp_path):
    continual.train(resolve(RunConfig(method="lwf", network="snn", epochs=1, features=8, out=tmp_path / "run",
                                      progress=False)))  # fmt: skip
    of_head(call, tmp_path / "run", {"audio", "visual"})


def test_of_question_answering(call, digits_qa, tmp_path):
    avqa.train(run_of(digits_qa, tmp_path / "run", network="snn", epochs=1))
    of_head(call, tmp_path / "run", {"fusion"})
