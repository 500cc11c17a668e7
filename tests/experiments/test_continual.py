"""The class-incremental command: grid, table, pictures, and going on where it stopped."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from experiments import cli, continual, continual_report, published
from experiments.continual import ContinualConfig, grid
from experiments.continual_options import ContinualRun, resolve
from iemf.balance import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.continual.benchmarks import BENCHMARKS
from iemf.continual.model import ContinualNetwork
from iemf.errors import UserError
from iemf.training import RunFolder
from tests import released_features
from tests.conftest import ROOT

SOUND = "audio_pretrained_feature/audio_pretrained_feature_dict.npy"
SMALL = {"epochs": 1, "features": 8, "progress": False}


def test_a_grid_trains_tabulates_and_repeats_nothing(tmp_path, capsys, monkeypatch):
    config = ContinualConfig(**SMALL, networks=("ann", "snn"), methods=("lwf", "av-cil"), variants=("joint", "iemf"),
                             seeds=(0,), out=tmp_path)  # fmt: skip
    continual.main(config)
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in capsys.readouterr().out
    for words in ("| LwF    | ANN", "| AV-CIL | SNN", "AFR: IEMF − joint", "one seed a cell"):
        assert words in table
    cell = next(c for c in json.loads((tmp_path / "results.json").read_text())["cells"] if c["variant"] == "iemf")
    assert [len(row) for row in cell["runs"][0]["accuracies"]] == [1, 2, 3, 4, 5]
    assert 0 < cell["runs"][0]["xi"] < 2
    for name in ("average_accuracy.png", "accuracy_and_forgetting.png"):
        assert (tmp_path / name).stat().st_size > 10000
    monkeypatch.setattr(continual, "ContinualTrainer", None)  # nothing may be trained again
    continual.main(config)
    assert (tmp_path / "table.md").read_text() == table


def test_the_table_follows_from_the_results():
    cells = {
        ("ann", "ssil", variant): {
            seed: {"mean_accuracy": 50.0 + seed + gain, "average_forgetting": 10.0} for seed in (0, 2)
        }
        for variant, gain in (("joint", 0.0), ("iemf", 1.5))
    }
    row = continual_report.markdown(cells, resolve(ContinualRun()), "20").splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "SSIL", "ANN", "51.00 ± 1.41", "52.50 ± 1.41", "10.00 ± 0.00", "10.00 ± 0.00", "+1.50 ± 0.00", "+0.00 ± 0.00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"lr": -1.0}, "--lr -1.0"),
        ({"gamma": float("inf")}, "--gamma inf"),
        ({"methods": ()}, "--methods"),
        ({"seeds": (1, 1)}, "--seeds 1 1"),
        ({"exemplar_batch_size": 0}, "--exemplar-batch-size 0 must be 1 or more"),
        ({"tasks": 1}, "--tasks 1 must be 2 or more"),
        ({"dataset": "ave-ci"}, "--data-root None: --dataset ave-ci needs it"),
        ({"data_root": Path("x")}, "--dataset av-digits-ci is embedded; leave it out"),
        ({"recipe": "released", "networks": ("snn",)}, "--recipe released has no activations"),
        ({"recipe": "released", "gamma": 2.0}, r"--gamma 2\.0: --recipe released ignores"),
        ({"recipe": "released"}, "--epochs 20: the released av-cil applies ξ from epoch 20 on"),
        ({"iemf": False, "variants": ("iemf",)}, "--variants : name at least one"),
        ({"recipe": "original"}, "--recipe original is an optimiser and epochs"),
        ({"iemf": False, "gamma": 2.0}, r"--gamma 2\.0 is read by none"),
        ({"time_steps": 9}, "--time-steps 9 is read by none"),
        ({"methods": ("lwf",), "memory": 7}, "--memory 7 is read by none"),
        ({"methods": ("lwf",), "exemplar_batch_size": 7}, "--exemplar-batch-size 7 is read by none"),
        ({"methods": ("ssil",), "instance": 0.1}, r"--instance 0\.1 is read by none"),
        ({"methods": ("ssil",), "category": 0.1}, r"--category 0\.1 is read by none"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        grid(ContinualConfig(**options))


def test_a_folder_of_other_options_is_refused(tmp_path):
    options = {**SMALL, "methods": ("lwf",), "variants": ("vanilla",), "seeds": (0,), "out": tmp_path}
    continual.main(ContinualConfig(**options))
    with pytest.raises(UserError, match=r"config\.json has lr=0\.001, this run 0\.01"):
        continual.main(ContinualConfig(**options, lr=0.01))


def test_another_optimiser_has_its_own_rate():
    assert resolve(ContinualRun(optimizer="sgd")).lr == 1e-2
    assert resolve(ContinualRun()).lr == 1e-3
    assert resolve(ContinualRun(out=Path("x"))).memory == 50


def test_epochs_that_differ_are_named_by_method():
    runs = [(resolve(ContinualRun(dataset="k-s-ci", recipe="original", method=method, data_root=Path("x"))), {})
            for method in ("lwf", "ssil")]  # fmt: skip
    assert continual_report.epochs_of(runs) == "100 (LwF), 200 (SSIL)"
    assert continual_report.epochs_of(runs[1:]) == "200"


def test_options_in_the_singular():
    options = ["--method", "lwf", "--network", "snn", "--iemf", "--no-joint", "--seeds", "7"]
    vanilla, iemf = grid(cli.parse(ContinualConfig, options, "continual"))
    assert (iemf.method, iemf.network, iemf.variant, iemf.seed) == ("lwf", "snn", "iemf", 7)
    assert vanilla == replace(iemf, variant="vanilla", out=vanilla.out)
    assert {run.variant for run in grid(ContinualConfig(iemf=False))} == {"vanilla", "joint"}


@pytest.mark.parametrize(
    ("dataset", "recipe", "method", "expected"),
    [
        ("ave-ci", "paper", "lwf", ("sgd", 1e-2, 100, 256, 128, 340, 0.5)),
        ("ave-ci", "original", "lwf", ("adam", 1e-3, 200, 256, 128, 340, 0.5)),
        ("k-s-ci", "original", "lwf", ("adam", 1e-3, 100, 256, 128, 500, 0.1)),
        ("k-s-ci", "original", "ssil", ("adam", 1e-3, 200, 256, 128, 500, 0.1)),
        ("vs100-ci", "paper", "av-cil", ("adam", 1e-3, 100, 256, 128, 1500, 0.1)),
        ("vs100-ci", "released", "av-cil", ("adam", 1e-3, 100, 256, 128, 1500, 0.1)),
    ],
)
def test_what_the_recipes_set(dataset, recipe, method, expected):
    run = resolve(ContinualRun(dataset=dataset, recipe=recipe, method=method, data_root=Path("x")))
    found = (run.optimizer, run.lr, run.epochs, run.batch_size, run.exemplar_batch_size, run.memory, run.instance)
    assert found == expected
    assert (run.weight_decay, run.features, run.category) == (1e-4, 768, 1.0)


def test_what_released_leaves_out(monkeypatch):
    """No attention distilled, no activation, ξ of av-cil in a window and on the step, noise elsewhere."""
    paper, released = (ContinualRun(recipe=recipe, variant="iemf", optimizer="sgd") for recipe in ("paper", "released"))
    assert continual.build_method(paper).attention
    assert not continual.build_method(released).attention
    assert isinstance(continual.activation(paper), nn.ReLU)
    assert isinstance(continual.activation(released), nn.Identity)
    assert (paper.window, released.window) == (None, (20, 70))
    assert replace(released, method="ssil").window is None
    network = ContinualNetwork(3, 3, 2, 4)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    made = [continual.build_modulation(run)(network, optimizer, 0) for run in
            (paper, released, replace(released, method="lwf"), replace(paper, optimizer="adam"))]  # fmt: skip
    assert [effect.scale for effect in made] == ["gradient", "step", "gradient", "step"]
    assert [type(effect) for effect in made] == [InverseEffectiveness] * 2 + [
        ReleasedInverseEffectiveness, InverseEffectiveness,
    ]  # fmt: skip
    for effect in made:
        assert {id(p) for p in effect.parameters} == {id(p) for p in network.classifier.parameters()}


def test_the_window_of_released_reaches_the_loop(tmp_path):
    run = resolve(ContinualRun(recipe="released", variant="iemf", epochs=21, batch_size=300, features=4, out=tmp_path,
                               progress=False))  # fmt: skip
    continual.train(run)
    with_xi = {record["epoch"] for record in RunFolder(tmp_path).metrics() if record["xi"] is not None}
    assert with_xi == {20}


def public(tmp_path, name="ave-ci"):
    released_features.write(tmp_path / name, name, hdf5=name != "ave-ci")
    return ["--dataset", name, "--data-root", tmp_path / name, "--epochs", 1, "--features", 8, "--no-progress"]


def test_a_public_benchmark_from_files_to_a_table_with_the_papers_numbers(call, tmp_path):
    options = [*public(tmp_path), "--methods", "lwf", "av-cil", "--variants", "vanilla", "iemf", "--seeds", 0, "--out",
               tmp_path / "out"]  # fmt: skip
    code, out, err = call("continual", *options)
    assert code == 0, err
    assert "ave-ci has 84/28/28 samples (train/val/test), published are 3294/391/394" in err
    for words in ("paper, AIA: vanilla → IEMF", "61.86 → 61.94", "24.31 → 20.87", "recipe paper, 1 epochs a task, sgd"):
        assert words in out
    config = json.loads((tmp_path / "out" / "runs" / "ann-av-cil-iemf-seed0" / "config.json").read_text())
    assert next(iter(config.items())) == ("paper", "He et al. 2025, Table S4: AIA 61.94 %, AFR 20.87 %")
    shutil.rmtree(tmp_path / "ave-ci")  # the table can be made again without the data
    code, again, err = call("continual", *options)
    assert code == 0, err
    assert "4 finished, 0 to go" in again


def test_a_run_is_not_gone_on_with_on_other_features(call, tmp_path):
    options = [*public(tmp_path), "--methods", "lwf", "--variants", "iemf", "--out", tmp_path / "out"]
    assert call("continual", *options, "--seeds", 0)[0] == 0
    path = tmp_path / "ave-ci" / "all_classId_vid_dict.npy"
    content = np.load(path, allow_pickle=True).item()
    content["train"][0].reverse()
    np.save(path, content)
    continual.load_data.cache_clear()  # as in a new process
    code, _, err = call("continual", *options, "--seeds", 0, 1)
    assert code == 2
    assert "config.json has data_digest=" in err


@pytest.mark.parametrize(
    ("damage", "options", "words"),
    [
        (SOUND, [], "has no sound of 'val3_0' that the lists name"),
        (None, ["--tasks", 3], "28 classes do not divide into 3 tasks"),
        (None, ["--memory", 20, "--methods", "lwf", "ssil"], "--memory 20 is smaller than the 21 old classes"),
        (None, ["--dataset", "k-s-ci"], "lists 28 classes, k-s-ci has 30"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(call, tmp_path, damage, options, words):
    arguments = [*public(tmp_path), "--variants", "vanilla", "--seeds", 0, *options, "--out", tmp_path / "out"]
    if damage:
        content = np.load(tmp_path / "ave-ci" / damage, allow_pickle=True).item()
        del content["val3_0"]
        np.save(tmp_path / "ave-ci" / damage, content)
    code, _, err = call("continual", *arguments)
    assert code == 2
    assert words in err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert not (tmp_path / "out").exists()


def script(*arguments, **variables):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **variables}
    command = ["bash", str(ROOT / "experiments" / "continual.sh"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_the_script_ends_with_a_table_and_two_pictures(tmp_path):
    done = script("--epochs", "1", "--features", "8", "--batch-size", "300", OUT=str(tmp_path), SEEDS="0")
    assert done.returncode == 0, done.stderr
    for method in ("LwF", "SSIL", "AV-CIL"):
        assert f"| {method}" in done.stdout
    assert {path.name for path in (tmp_path / "av-digits-ci").iterdir()} == {
        "table.md", "results.json", "average_accuracy.png", "accuracy_and_forgetting.png", "runs",
    }  # fmt: skip
    assert len(list((tmp_path / "av-digits-ci" / "runs").iterdir())) == 6


def test_the_script_runs_every_row_of_table_s4(tmp_path):
    for name in BENCHMARKS:
        public(tmp_path / "data", name)
    short = ["--epochs", "1", "--features", "4", "--batch-size", "500", "--no-progress"]
    done = script(*short, DATA=str(tmp_path / "data"), OUT=str(tmp_path / "out"), SEEDS="0", VARIANTS="vanilla iemf")
    assert done.returncode == 0, done.stderr
    cells = [f"{numbers['lwf', 'vanilla'].accuracy:.2f} → " for numbers in map(published.continual, BENCHMARKS)]
    assert len(set(cells)) == 3
    for cell in cells:
        assert cell in done.stdout
    missing = script(DATA=str(tmp_path), DATASETS="ave-ci k-s-ci")
    assert missing.returncode == 2
    assert "ave-ci is missing: make its features with python -m experiments.extract" in missing.stderr
    assert script(DATASETS="ave-ci").returncode == 2
