"""Accuracy over signal-to-noise ratios."""

import csv
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.classification import build, robustness, robustness_report
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.options import RunConfig, resolve
from experiments.classification.report import LABELS
from experiments.classification.robustness import RobustnessConfig, find_runs, plan
from experiments.classification.run import train
from experiments.sweep.command_line import as_options
from iemf.analysis.robustness_plot import accuracy_over_snr
from iemf.data.noise import CLEAN, Noise
from iemf.data.sets import av_digits
from iemf.errors import UserError
from iemf.network import AudioVisualNetwork
from iemf.training import RunFolder, checkpoint
from tests.conftest import ROOT
from tests.experiments import helpers


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A comparison of ANNs, 3 variants x 2 seeds, and one SNN.

    The test noise of the two modalities differs, so that a mix-up of them shows.
    """
    shared = CompareConfig(
        epochs=1,
        width=2,
        batch_size=100,
        methods=("concat",),
        networks=("ann",),
        seeds=(0, 1),
        test_snr_audio=(-5.0,),
        test_snr_visual=(5.0,),
        out=tmp_path_factory.mktemp("c"),
    )
    spiking = replace(shared, networks=("snn",), variants=("iemf",), seeds=(1,), time_steps=2)
    with helpers.few_digits():
        for config in [*grid(shared), *grid(spiking)]:
            train(replace(config, progress=False))
    return shared.out


@pytest.fixture(scope="module")
def finished(runs, tmp_path_factory):
    """Its robustness at the runs' own ratios, with one thread as in training: sums of floats depend on it."""
    config = RobustnessConfig(runs, tmp_path_factory.mktemp("robustness"), (5.0, -5.0), 250, progress=False)
    with helpers.pool_of_one(), helpers.few_digits():
        robustness.main(config)
    return config


def content(config):
    return json.loads((config.out / "robustness.json").read_text())


def test_at_the_runs_own_noise_the_results_are_the_runs_own(finished):
    """The run's test noise is -5 dB in the sound and 5 dB in the images, at any seed."""
    key = ("network", "variant", "seed", "modality", "snr")
    rows = {tuple(row[name] for name in key): row for row in content(finished)["evaluations"]}
    assert len(rows) == 7 * 2 * 2
    for config in find_runs(finished.runs)[0]:
        results = RunFolder(config.out).results()
        cell = (config.network, config.variant, config.seed)
        for modality, own in (("audio", -5.0), ("visual", 5.0)):
            row = rows[(*cell, modality, own)]
            for name in robustness_report.ACCURACIES:
                assert row[name] == results[name]


class Pixels(nn.Module):
    """[B, 1, 32, 32] -> [B, 1024]."""

    features = 1024

    def forward(self, x):
        return x.flatten(1)


class Listener(nn.Module):
    """A fusion that compares the sound with ten templates and does not look."""

    def __init__(self):
        super().__init__()
        self.templates = nn.Linear(1024, 10, bias=False)

    def forward(self, audio, visual):
        return self.templates(audio)


@pytest.fixture
def listener(monkeypatch, tmp_path):
    """The config of a run whose weights are the mean training sound of each digit."""
    network = AudioVisualNetwork(Pixels(), Pixels(), Listener(), 1024, 10, True)
    train = av_digits.load(0, Noise(), Noise()).train
    means = [train.clean["audio"][train.labels == digit].mean(0).flatten() for digit in range(10)]
    network.fusion.templates.weight.data = torch.stack(means)
    config = resolve(RunConfig(out=tmp_path / "runs" / "listener", seed=3))
    folder = RunFolder(config.out)
    folder.start(config.stored())
    checkpoint.save(folder.best_checkpoint, {"network": network.state_dict()})
    for parameter in network.parameters():
        nn.init.zeros_(parameter)  # the weights are to come from the checkpoint
    monkeypatch.setattr(build, "build_network", lambda config, data: network)
    return config, torch.stack(means)


def test_a_classifier_that_only_listens_is_disturbed_by_sound_alone(listener):
    config, templates = listener
    ratios = (-20.0, 5.0)
    records = robustness.evaluate_run(config, [(m, r) for m in ("audio", "visual") for r in ratios], 300)
    sound, images = ([r["test_accuracy"] for r in records if r["modality"] == m] for m in ("audio", "visual"))
    for ratio, accuracy in zip(ratios, sound, strict=True):  # by hand, without network, loader or evaluation
        test = av_digits.load(9, av_digits.NOISE, Noise((ratio, ratio), av_digits.NOISE.visual)).test
        guesses = (test.noisy["audio"].flatten(1) @ templates.T).argmax(1)
        assert accuracy == pytest.approx(100 * (guesses == test.labels).double().mean().item())
    assert sound[0] + 20 < sound[1]
    at_its_own = av_digits.load(0).test
    guesses = (at_its_own.noisy["audio"].flatten(1) @ templates.T).argmax(1)
    assert images == [pytest.approx(100 * (guesses == at_its_own.labels).double().mean().item())] * 2


def test_csv_table_and_json_hold_the_same_numbers(finished):
    stored = content(finished)
    rows = list(csv.DictReader((finished.out / "robustness.csv").open()))
    assert len(rows) == len(stored["evaluations"])
    for row, record in zip(rows, stored["evaluations"], strict=True):
        for name, value in record.items():
            assert (float(row[name]) == round(value, 2)) if isinstance(value, float) else (row[name] == str(value))
    table = [line.split("|")[1:-1] for line in (finished.out / "table.md").read_text().splitlines()[2:6]]
    assert [[cell.strip() for cell in row[:3]] for row in table] == [
        ["Concat", n, m] for n in ("ANN", "SNN") for m in ("sound", "images")
    ]

    def mean(variant, seed):  # of the ANN under noise in the images, over the ratios
        return sum(float(r["test_accuracy"]) for r in rows if (r["network"], r["variant"], r["seed"], r["modality"]) ==
                   ("ann", variant, str(seed), "visual")) / 2  # fmt: skip

    iemf, gain, xi = (cell.strip() for cell in table[1][5:])
    assert iemf.startswith(f"{(mean('iemf', 0) + mean('iemf', 1)) / 2:.2f} ± ")
    differences = [mean("joint", seed) - mean("vanilla", seed) for seed in (0, 1)]
    assert gain == f"{sum(differences) / 2:+.2f} ± {abs(differences[0] - differences[1]) / 2**0.5:.2f}"
    differences = [mean("iemf", seed) - mean("joint", seed) for seed in (0, 1)]
    assert xi == f"{sum(differences) / 2:+.2f} ± {abs(differences[0] - differences[1]) / 2**0.5:.2f}"
    assert [cell.strip() for cell in table[2]][3:5] == ["–", "–"]  # the SNN has no vanilla and no joint run
    assert (finished.out / "robustness.png").read_bytes()[:4] == b"\x89PNG"


def test_run_again_it_evaluates_what_is_missing_alone(finished, small, monkeypatch, capsys):
    files = sorted((finished.out / "evaluations").iterdir())
    assert len(files) == 7
    before = {file: (file.stat().st_mtime_ns, file.read_text()) for file in files}
    table = (finished.out / "table.md").read_text()
    files[2].unlink()
    robustness.main(finished)
    assert "7 runs: 6 evaluated, 1 to go" in capsys.readouterr().out
    assert files[2].read_text() == before[files[2]][1]
    assert [file for file in files if file.stat().st_mtime_ns != before[file][0]] == [files[2]]
    assert (finished.out / "table.md").read_text() == table
    monkeypatch.setattr(robustness, "complete", lambda *a: pytest.fail("evaluated"))
    robustness.main(replace(finished, snr=(-5.0,)))
    assert {row["snr"] for row in content(finished)["evaluations"]} == {-5.0}
    robustness.main(finished)
    assert (finished.out / "table.md").read_text() == table


def test_what_was_evaluated_holds_for_those_weights_and_options_alone(finished, tmp_path, monkeypatch):
    config = find_runs(finished.runs)[0][0]
    config = replace(config, out=shutil.copytree(config.out, tmp_path / "run"))
    (tmp_path / "evaluations").mkdir()
    conditions = [("audio", -5.0), ("visual", 0.0)]
    calls = []

    def evaluate_run(config, conditions, batch_size):
        calls.append(conditions)
        return [{"modality": m, "snr": s, "test_accuracy": 1.0} for m, s in conditions]

    monkeypatch.setattr(robustness, "evaluate_run", evaluate_run)
    robustness.complete(100, plan(config, conditions, tmp_path))
    assert plan(config, conditions, tmp_path).conditions == []
    moved = replace(config, workers=3, progress=False)
    assert plan(moved, conditions, tmp_path).conditions == []
    task = plan(config, [*conditions, ("visual", 5.0)], tmp_path)
    assert task.conditions == [("visual", 5.0)]
    robustness.complete(100, task)
    assert calls == [conditions, [("visual", 5.0)]]
    assert len(robustness.evaluations(task.file, task.identity)) == 3  # the older ones are kept
    assert plan(replace(config, test_snr_audio=(0.0, 0.0)), conditions, tmp_path).conditions == conditions
    weights = checkpoint.load(RunFolder(config.out).best_checkpoint)
    weights["network"]["audio_head.bias"] += 1
    checkpoint.save(RunFolder(config.out).best_checkpoint, weights)
    assert plan(config, conditions, tmp_path).conditions == conditions


def test_runs_of_a_folder_of_files(tree, tmp_path):
    """Sound files and pictures, read by a worker; its own test noise is none."""
    config = RunConfig(dataset="folder", data_root=tree, image_size=32, seconds=0.2, width=2, epochs=1, batch_size=7,
                       workers=0, progress=False, out=tmp_path / "runs" / "one", test_snr_audio=(3.0,))  # fmt: skip
    results = train(config)
    stored = find_runs(tmp_path)[0][0]
    records = robustness.evaluate_run(replace(stored, workers=1), [("audio", 3.0), ("visual", -10.0)], 4)
    assert records[0]["test_accuracy"] == results["test_accuracy"]
    assert records[1].keys() == {"modality", "snr", *robustness_report.ACCURACIES}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"snr": ()}, "each once"),
        ({"snr": (0.0, 5.0, 0.0)}, "--snr 0 5 0: name finite numbers of dB within ± 100, each once"),
        ({"snr": (0.0, float("inf"))}, "--snr 0 inf"),
        ({"snr": (-400.0,)}, "--snr -400"),
        ({"snr": (float("nan"),)}, "--snr nan"),
        ({"batch_size": 0}, "--batch-size 0 must be 1 or more"),
        ({"jobs": 0}, "--jobs 0 must be 1 or more"),
    ],
)
def test_options_out_of_range(tmp_path, change, message):
    with pytest.raises(UserError) as error:
        robustness.main(replace(RobustnessConfig(tmp_path / "runs", tmp_path / "out"), **change))
    assert message in as_options(str(error.value))
    assert not (tmp_path / "out").exists()


def test_the_comparisons_own_table_is_not_written_over(runs):
    with pytest.raises(UserError, match=r"table\.md would be lost"):
        robustness.main(RobustnessConfig(runs, runs / "runs" / ".."))


def fake(out, **options):
    """A comparison's folder with configs and no weights."""
    for config in grid(CompareConfig(out=out, seeds=(0,), methods=("concat",), variants=("joint", "iemf"))):
        config = resolve(replace(config, **options))
        RunFolder(config.out).start(config.stored())
    return sorted((out / "runs").iterdir())


def finish(folders):
    for folder in folders:
        (folder / "results.json").write_text("{}")


def test_folders_that_make_no_table(tmp_path):
    def refused(message):
        with pytest.raises(UserError, match=message) as error:
            robustness.main(RobustnessConfig(tmp_path, tmp_path / "out"))
        assert "\n" not in str(error.value)

    refused("holds no runs; `runs` is the `out` of")
    folders = fake(tmp_path)
    refused(r"none of the 4 run\(s\) in .*runs is finished")
    finish(folders[:3])
    refused("best.pt is missing")
    shutil.copytree(folders[0], tmp_path / "runs" / "copy")
    refused("ann-concat-iemf-seed0 and .*copy are the same run|copy and .* are the same run")
    shutil.rmtree(tmp_path / "runs" / "copy")
    other = RunConfig(dataset="crema-d", data_root=tmp_path, method="lfm", out=tmp_path / "runs" / "ann-lfm")
    RunFolder(other.out).start(resolve(other).stored())
    refused("best.pt is missing")  # not finished: no part of it
    finish([other.out])
    refused("ann-concat-iemf-seed0 has (dataset='av-digits'|data_digest=None), .*ann-lfm .*; one table takes runs that")
    shutil.rmtree(other.out)
    slow = RunConfig(network="snn", method="lfm", time_steps=8, out=tmp_path / "runs" / "tardy")
    RunFolder(slow.out).start(resolve(slow).stored())
    finish([slow.out])
    refused("snn-concat-iemf-seed0 has time_steps=4, .*tardy 8")
    assert not (tmp_path / "out").exists()


def test_runs_of_one_comparison_are_not_mixed(tmp_path):
    """Options of one network or variant, and what the paper has for a cell, may differ."""
    cells = [("ann", False), ("snn", False), ("snn", True), ("ann", True)]
    shared = RunConfig(dataset="crema-d", data_root=tmp_path)
    configs = [resolve(replace(shared, network=n, iemf=i, out=tmp_path / f"{n}{i}")) for n, i in cells]
    robustness.refuse_mixed(configs)
    with pytest.raises(UserError, match=r"annFalse has image_size=224, .*other 64;"):
        robustness.refuse_mixed([*configs, replace(configs[0], seed=1, image_size=64, out=tmp_path / "other")])


@pytest.mark.parametrize("option", [{"xi": "shuffled"}, {"modulate_to": 3}, {"xi": 1.5}])
def test_iemf_and_a_control_of_it_are_not_mixed(tmp_path, option):
    """None is a value of what these runs read."""
    shared = RunConfig(iemf=True)
    runs = [replace(shared, out=tmp_path / "a"), replace(shared, seed=1, out=tmp_path / "b", **option)]
    with pytest.raises(UserError, match=rf"{tmp_path / 'a'} has (xi|modulate_to|gamma)="):
        robustness.refuse_mixed([resolve(run) for run in runs])


def test_an_unfinished_run_is_not_counted(tmp_path, finished):
    shutil.copytree(finished.runs / "runs", tmp_path / "runs")
    (tmp_path / "runs" / "ann-concat-joint-seed1" / "results.json").unlink()
    configs, unfinished = find_runs(tmp_path)
    assert (len(configs), unfinished) == (6, 1)
    rows = [r for r in content(finished)["evaluations"] if (r["variant"], r["seed"]) != ("joint", 1)]
    table = robustness_report.write(rows, configs, unfinished, tmp_path)
    assert "1 run(s) are not finished and not counted" in table
    assert "over 1 to 2 seeds (0, 1)" in table


def test_bad_input_is_one_line_and_exit_code_2(call, runs, tmp_path):
    def refused(*arguments):
        code, _, error = call("robustness", *arguments)
        assert (code, error.count("\n")) == (2, 1), error
        return error

    assert "--snr" in refused("--runs", runs, "--out", tmp_path / "out", "--snr", -10, "much")
    assert "--snr -10 -10" in refused("--runs", runs, "--out", tmp_path / "out", "--snr", -10, -10)
    assert "--runs" in refused()
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused("--runs", runs, "--out", tmp_path / "file" / "out")


def test_damaged_weights_are_named_and_the_others_kept(runs, tmp_path):
    for name in ("ann-concat-iemf-seed0", "ann-concat-joint-seed0"):
        shutil.copytree(runs / "runs" / name, tmp_path / "runs" / name)
    (tmp_path / "runs" / "ann-concat-iemf-seed0" / "checkpoints" / "best.pt").write_bytes(b"not weights")
    config = RobustnessConfig(tmp_path, tmp_path / "out", (0.0,), jobs=1, progress=False)
    with pytest.raises(UserError, match=r"ann-concat-iemf-seed0.*best\.pt is not a readable checkpoint"):
        robustness.main(config)
    assert [file.name for file in (tmp_path / "out" / "evaluations").iterdir()] == ["ann-concat-joint-seed0.json"]


@pytest.mark.parametrize("training", [{"audio": (-15.0, 0.0), "visual": CLEAN}, {"audio": None, "visual": None}])
def test_a_picture_of_one_seed_and_of_several_methods(tmp_path, training):
    rows = [
        {"network": "snn", "method": method, "variant": variant, "seed": 4, "modality": modality, "snr": snr,
         "test_accuracy": 50.0 + snr}
        for method in ("concat", "lfm") for variant in ("joint", "iemf") for modality in ("audio", "visual")
        for snr in (-5.0, 0.0)
    ]  # fmt: skip
    accuracy_over_snr(rows, LABELS, training, 10.0, tmp_path / "picture.png", "made up")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_the_script_trains_and_then_evaluates(tmp_path):
    """With a stand-in for python that says what it was asked."""
    script = ROOT / "experiments" / "robustness.sh"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    calls, done = helpers.asked("robustness.sh", tmp_path, "--snr", "0", RUNS="mine", OUT="/there")
    assert done.returncode == 0, done.stderr
    assert [(name, " ".join(arguments)) for name, arguments in calls] == [
        ("compare", f"--dataset av-digits --out {tmp_path}/mine"),
        ("robustness", f"--runs {tmp_path}/mine --out /there --snr 0"),
    ]
    calls, _ = helpers.asked("robustness.sh", tmp_path)
    assert " ".join(calls[1][1]) == "--runs runs/av-digits --out runs/robustness"


def test_differences_at_each_ratio_are_averaged_over_methods():
    accuracy = {("concat", "vanilla"): 50.0, ("concat", "joint"): 60.0, ("concat", "iemf"): 61.0,
                ("lfm", "vanilla"): 40.0, ("lfm", "joint"): 44.0, ("lfm", "iemf"): 41.0}  # fmt: skip
    rows = [
        {"network": "ann", "method": method, "variant": variant, "seed": seed, "modality": "audio", "snr": -5.0,
         "test_accuracy": value + (seed if variant == "joint" else 0)}
        for seed in (0, 2) for (method, variant), value in accuracy.items()
    ]  # fmt: skip
    line = robustness_report.by_ratio(rows).splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == ["ANN", "sound", "-5 dB", "+8.00 ± 1.41", "-2.00 ± 1.41"]  # (10 + 4) / 2 and 2 more; (1 - 3) / 2


def test_data_prepared_anew_since_the_runs_are_refused(tmp_path):
    """Their test clips may be clips that the runs were trained on."""
    manifest = {"format": 1, "shards": [{"split": "train", "sha256": "now"}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    config = RunConfig(dataset="crema-d", data_root=tmp_path, out=Path("run"))
    now = resolve(config)
    robustness.refuse_other_data([now, RunConfig()])
    with pytest.raises(UserError, match=r"has changed since run \(then then, [0-9a-f]{16} now\)"):
        robustness.refuse_other_data([now, replace(now, data_digest="then")])
