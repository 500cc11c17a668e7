"""The question-answering command: grid, stage 1, tables, pictures, and going on where it stopped."""

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

from experiments import avqa, avqa_data, avqa_report, cli, published
from experiments.avqa import AVQAConfig, grid
from experiments.avqa_options import AVQARun, resolve
from iemf.avqa.accuracy import COLUMNS
from iemf.balance import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.errors import UserError
from iemf.training import RunFolder, checkpoint
from tests.conftest import ROOT
from tests.iemf.avqa.test_music_avqa import SOUND, tree

SMALL = ["--epochs", 1, "--match-epochs", 1, "--width", 8, "--batch-size", 64, "--jobs", 1, "--no-progress"]


def test_a_grid_trains_tabulates_and_repeats_nothing(call, digits_qa, tmp_path, monkeypatch):
    options = ["--networks", "ann", "snn", "--variants", "iemf", "--blind", "--seeds", 7, "--cache", digits_qa, *SMALL]
    options += ["--out", tmp_path]
    code, out, err = call("avqa", *options)
    assert code == 0, err
    assert "7 runs: 0 finished, 7 to go" in out
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in out
    for words in ("| baseline | ANN     | IEMF ", "| ST-AVQA  | SNN     | IEMF ", "| question alone", "AV: when",
                  "IEMF − best blind"):  # fmt: skip
        assert words in table
    content = json.loads((tmp_path / "results.json").read_text())
    cell = next(c for c in content["cells"] if (c["network"], c["model"], c["variant"]) == ("snn", "st-avqa", "iemf"))
    assert set(cell["runs"][0]["test_accuracy_by_type"]) == set(COLUMNS)
    assert 0 < cell["runs"][0]["xi"] < 2
    assert "data_digest" in content["settings"]
    for name in ("accuracy_by_type.png", "scenes.png"):
        assert (tmp_path / name).stat().st_size > 20000
    runs = {path.name for path in (tmp_path / "runs").iterdir()}
    assert len(runs) == 8
    assert {"grounding-seed7", "ann-baseline-vanilla-no-audio-no-visual-seed7"} <= runs
    monkeypatch.setattr(avqa, "train", None)  # nothing may be trained again
    code, out, err = call("avqa", *options)
    assert code == 0, err
    assert "7 finished, 0 to go" in out
    assert (tmp_path / "table.md").read_text() == table


def run_of(digits_qa, out, **options):
    options = {
        "epochs": 2,
        "match_epochs": 1,
        "width": 8,
        "batch_size": 64,
        "cache": digits_qa,
        "progress": False,
    } | options
    return resolve(AVQARun(out=out, **options))


def test_stage_2_starts_from_the_weights_of_stage_1(digits_qa, tmp_path):
    run = run_of(digits_qa, tmp_path / "st", model="st-avqa", variant="iemf")
    avqa.train(run.grounding)
    learnt = checkpoint.load(RunFolder(run.grounding.out).best_checkpoint)["network"]
    network = avqa.build_network(run, avqa.data_of(run))
    for name, value in learnt.items():
        assert torch.equal(network.grounding.state_dict()[name], value), name
    untrained = avqa.build_network(replace(run.grounding, seed=run.seed), avqa.data_of(run)).state_dict()
    assert any(not torch.equal(untrained[name], value) for name, value in learnt.items())


def test_stage_1_without_its_weights_is_not_finished(digits_qa, tmp_path):
    run = run_of(digits_qa, tmp_path / "st", model="st-avqa")
    avqa.train(run.grounding)
    path = RunFolder(run.grounding.out).best_checkpoint
    weights = checkpoint.load(path)["network"]
    path.unlink()
    assert not avqa.is_finished(run.grounding)
    avqa.train(run.grounding)
    assert all(torch.equal(value, weights[name]) for name, value in checkpoint.load(path)["network"].items())


def test_a_run_is_not_trained_on_other_data_than_it_says(digits_qa, tmp_path):
    run = replace(run_of(digits_qa, tmp_path), data_digest="another")
    with pytest.raises(UserError, match="were changed meanwhile"):
        avqa.train(run)
    assert not list(tmp_path.iterdir())


def test_runs_on_different_data_make_no_table(digits_qa, tmp_path):
    runs = [run_of(digits_qa, tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    for run, digest in zip(runs, ("one", "other"), strict=True):
        folder = RunFolder(run.out)
        folder.start(replace(run, data_digest=digest).stored())
        folder.results_file.write_text("{}")
    with pytest.raises(UserError, match=r"a and .*b were trained on different data"):
        avqa.with_digest(runs)


def test_a_table_needs_no_picture(call, digits_qa, tmp_path):
    copy = tmp_path / "cache"
    shutil.copytree(digits_qa, copy)
    options = ["--models", "baseline", "--variants", "vanilla", "--seeds", 0, *SMALL[:2], *SMALL[4:]]
    options += ["--cache", copy, "--out", tmp_path / "out"]
    assert call("avqa", *options)[0] == 0
    (copy / "test.npz").write_bytes(b"")
    avqa_data.load.cache_clear()
    code, out, err = call("avqa", *options)
    assert code == 0, err
    assert "| baseline" in out
    assert "no picture of scenes" in err


def test_one_stage_1_serves_every_run_of_a_seed(digits_qa, tmp_path):
    run = run_of(digits_qa, tmp_path / "a", model="st-avqa")
    other = replace(run, network="snn", variant="iemf", gamma=2.0, time_steps=2, out=tmp_path / "b", epochs=5)
    assert run.grounding == other.grounding
    assert run.grounding != replace(run, seed=1).grounding


@pytest.mark.parametrize("recipe", ["paper", "released"])  # released: noise of a generator that outlives epochs
def test_killed_a_run_goes_on_to_the_same_end(digits_qa, tmp_path, monkeypatch, recipe):
    options = {"variant": "iemf", "seed": 3, "epochs": 3, "recipe": recipe}
    runs = [run_of(digits_qa, tmp_path / name, **options) for name in "ab"]
    expected = avqa.train(runs[0])
    validate = avqa.AnswerStage.validate
    count = []

    def stop(self):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return validate(self)

    monkeypatch.setattr(avqa.AnswerStage, "validate", stop)
    with pytest.raises(KeyboardInterrupt):
        avqa.train(runs[1])
    assert RunFolder(runs[1].out).results() is None
    monkeypatch.setattr(avqa.AnswerStage, "validate", validate)
    assert avqa.train(runs[1]) == expected
    assert RunFolder(runs[1].out).metrics() == RunFolder(runs[0].out).metrics()
    first, second = (json.loads((run.out / "predictions.json").read_text()) for run in runs)
    assert first == second
    assert len(first) == len(avqa.data_of(runs[0]).test)


def test_a_blind_run_does_not_hear(digits_qa, tmp_path):
    run = run_of(digits_qa, tmp_path, blind=("audio",))
    assert not avqa.data_of(run).test.__getitems__([0]).audio.any()
    assert avqa.data_of(replace(run, blind=())).test.__getitems__([0]).audio.any()


def test_modulation_of_recipes(digits_qa, tmp_path):
    run = run_of(digits_qa, tmp_path, variant="iemf")
    network = avqa.build_network(run, avqa.data_of(run))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    changes = ({}, {"optimizer": "sgd"}, {"recipe": "released"}, {"variant": "joint"})
    kinds = [avqa.build_modulation(replace(run, **change), network, optimizer) for change in changes]
    assert [type(kind) for kind in kinds] == [InverseEffectiveness] * 2 + [ReleasedInverseEffectiveness, type(None)]
    assert [kind.scale for kind in kinds[:3]] == ["step", "gradient", "gradient"]
    for kind in kinds[:3]:
        assert {id(p) for p in kind.parameters} == {id(p) for p in network.answer.fc_fusion.parameters()}


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("paper", ("sgd", 1e-2, None, 50, 30)),
        ("original", ("adam", 1e-4, 8, 30, 30)),
        ("released", ("sgd", 1e-2, None, 50, 30)),
    ],
)
def test_what_the_recipes_set(recipe, expected):
    run = resolve(AVQARun(dataset="music-avqa", recipe=recipe, data_root=Path("x")))
    assert (run.optimizer, run.lr, run.drop_every, run.epochs, run.match_epochs) == expected
    assert (run.batch_size, run.width) == (64, 512)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"width": 10}, "--width 10 must be a multiple of 4"),
        ({"lr": -1.0}, r"--lr -1\.0 must be a positive"),
        ({"gamma": float("nan")}, "--gamma nan"),
        ({"batch_size": 1}, "--batch-size 1 must be 2 or more"),
        ({"models": ()}, "--models : name at least one"),
        ({"seeds": (1, 1)}, "--seeds 1 1"),
        ({"jobs": 0}, "--jobs 0 must be 1 or more"),
        ({"dataset": "music-avqa"}, "--data-root None: --dataset music-avqa needs it"),
        ({"data_root": Path("x")}, "av-digits-qa is embedded; leave it out"),
        ({"recipe": "original"}, "--recipe original is an optimiser and epochs"),
        ({"recipe": "released", "gamma": 2.0}, r"--gamma 2\.0: --recipe released ignores"),
        ({"time_steps": 2}, "--time-steps 2 is read by none"),
        ({"iemf": False, "gamma": 2.0}, r"--gamma 2\.0 is read by none"),
        ({"models": ("baseline",), "match_epochs": 3}, "--match-epochs 3 is read by none"),
        ({"dataset": "music-avqa", "data_root": Path("x"), "cache": Path("y")}, "--cache y is read by none"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        grid(AVQAConfig(**options))


def test_options_in_the_singular():
    options = ["--model", "st-avqa", "--network", "snn", "--iemf", "--no-joint", "--seeds", "7"]
    vanilla, iemf = grid(cli.parse(AVQAConfig, options, "avqa"))
    assert (iemf.model, iemf.network, iemf.variant, iemf.seed) == ("st-avqa", "snn", "iemf", 7)
    assert vanilla == replace(iemf, variant="vanilla", out=vanilla.out)


MUSIC = [
    "--models",
    "baseline",
    "--variants",
    "vanilla",
    "iemf",
    "--seeds",
    0,
    "--epochs",
    1,
    "--width",
    8,
    "--jobs",
    1,
]


def music(root, out):
    return ["--dataset", "music-avqa", "--data-root", root, *MUSIC, "--no-progress", "--out", out]


def test_music_avqa_from_files_to_a_table_with_the_papers_numbers(call, tmp_path):
    tree(tmp_path / "data")
    code, out, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"))
    assert code == 0, err
    assert "answers that train never had, scored as wrong: 0 in val, 1 in test" in err
    assert "1 test answers never occur in train" in out
    assert f"{published.avqa()['st-avqa', 'iemf']['overall']:.2f}" in out
    config = json.loads((tmp_path / "out" / "runs" / "ann-baseline-iemf-seed0" / "config.json").read_text())
    assert next(iter(config.items())) == ("paper", "He et al. 2025, Table S5: 70.82 % overall")
    shutil.rmtree(tmp_path / "data")  # the table can be made again without the data
    code, out, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"))
    assert code == 0, err
    assert "2 finished, 0 to go" in out


def test_other_questions_are_another_run(call, tmp_path):
    tree(tmp_path / "data")
    assert call("avqa", *music(tmp_path / "data", tmp_path / "out"))[0] == 0
    path = tmp_path / "data" / "json" / "avqa-test.json"
    path.write_text(path.read_text().replace("nine", "one"))
    avqa_data.load.cache_clear()  # as in a new process
    code, _, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"), "--variants", "vanilla", "joint", "iemf")
    assert code == 2
    assert "config.json has data_digest=" in err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root: (root / SOUND).unlink(), "00000002.npy missing: 3 videos are asked about"),
        (lambda root: (root / "json" / "avqa-val.json").write_text('[{"type": 1}]'), "avqa-val.json, item 0: type 1"),
        (lambda root: np.save(root / SOUND, np.zeros((60, 9), np.float32)), "is of shape [60, 9], others [60, 128]"),
    ],
)
def test_bad_input_is_one_line(call, tmp_path, damage, words):
    tree(tmp_path / "data")
    damage(tmp_path / "data")
    avqa_data.load.cache_clear()
    code, _, err = call("avqa", *music(tmp_path / "data", tmp_path / "out"))
    assert code == 2
    assert words in err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert not (tmp_path / "out").exists()


def test_the_table_follows_from_the_results():
    def results(*numbers):
        return {
            "test_accuracy_by_type": dict.fromkeys(COLUMNS, numbers[0]) | {"av_avg": numbers[1]},
            "unknown_answers": 0,
        }

    cells = {
        ("ann", "baseline", "joint", ()): {0: results(50.0, 60.0), 2: results(52.0, 62.0)},
        ("ann", "baseline", "iemf", ()): {0: results(51.0, 60.5), 2: results(54.0, 62.5)},
        ("ann", "baseline", "vanilla", ("audio",)): {0: results(40.0, 50.0), 2: results(30.0, 30.0)},
        ("ann", "baseline", "vanilla", ("visual",)): {0: results(45.0, 40.0), 2: results(20.0, 50.0)},
    }
    table = avqa_report.markdown(cells, resolve(AVQARun()))
    rows = {tuple(part.strip() for part in line.strip("|").split("|")) for line in table.splitlines()}
    assert ("baseline", "ANN", "IEMF − joint", "+1.50 ± 0.71", "+1.50 ± 0.71", "+0.50 ± 0.00", "+1.50 ± 0.71") in rows
    assert (
        "baseline",
        "ANN",
        "joint − best blind",
        "+13.50 ± 12.02",
        "+13.50 ± 12.02",
        "+11.00 ± 1.41",
        "+13.50 ± 12.02",
    ) in rows


def test_the_script_runs_every_row_of_table_s5(tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", str(ROOT / "experiments" / "avqa.sh"), "--dataset", "music-avqa"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PATH": path}, timeout=300)
    assert done.returncode == 2
    assert "--data-root None: --dataset music-avqa needs it" in done.stderr
    tree(tmp_path / "data")
    environment = os.environ | {
        "PATH": path,
        "DATA": str(tmp_path / "data"),
        "OUT": str(tmp_path / "out"),
        "SEEDS": "0",
    }
    short = ["--epochs", "1", "--match-epochs", "1", "--width", "8", "--no-progress"]
    done = subprocess.run([*command[:2], *short], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "6 runs: 0 finished, 6 to go" in done.stdout
    assert "paper: ST-AVQA" in done.stdout
