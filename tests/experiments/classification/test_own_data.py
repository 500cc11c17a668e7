"""Rates and epochs of a folder of one's own, by hand from the number of its clips."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.classification import own_data
from experiments.classification.compare import CompareConfig, grid
from experiments.classification.options import RunConfig, resolve
from iemf.data.sets import folder
from iemf.files import write_json
from iemf.training import RunFolder


def of_clips(monkeypatch, clips, **options):
    monkeypatch.setattr(folder, "clip_counts", lambda root: {"train": clips, "val": 1, "test": 1})
    own_data._training_clips.cache_clear()
    config = resolve(RunConfig(dataset="folder", data_root=Path("x"), data_digest="made up", **options))
    own_data._training_clips.cache_clear()
    return config


@pytest.mark.parametrize(
    ("clips", "options", "epochs", "warmup"),
    [
        (60, {}, 200, 40),  # 2 steps an epoch
        (600, {}, 22, 41),  # 19
        (600, {"epochs": 4}, 4, 7),  # 76 steps in all
        (600, {"batch_size": 8}, 20, 100),  # 75
        (50_000, {}, 20, 100),
        (600, {"warmup": 0, "epochs": 1}, 1, 0),
    ],
)
def test_small_folders_get_more_epochs_and_warm_up_for_a_tenth(monkeypatch, clips, options, epochs, warmup):
    run = of_clips(monkeypatch, clips, **options)
    assert (run.epochs, run.warmup) == (epochs, warmup)
    assert (run.optimizer, run.lr, run.momentum, run.schedule) == ("sgd", 0.02, 0.9, "cosine")
    assert resolve(run) == run


def test_what_is_said_wins(monkeypatch):
    run = of_clips(monkeypatch, 600, optimizer="adamw", schedule="plateau", epochs=50)
    assert (run.lr, run.momentum, run.schedule, run.patience) == (1e-3, None, "plateau", 5)
    paper = of_clips(monkeypatch, 600, lr=5e-3, momentum=0.0, schedule="constant", warmup=0, epochs=100)
    assert (paper.lr, paper.momentum, paper.schedule, paper.warmup) == (5e-3, 0.0, "constant", 0)
    assert of_clips(monkeypatch, 600, lr_drop=9).schedule == "step"


def test_clips_are_counted_without_those_set_aside(tree):
    """8 training clips a class, 1 of them for validation unless there is val/."""
    assert folder.clip_counts(tree) == {"train": 14, "val": 2, "test": 6}
    assert resolve(RunConfig(dataset="folder", data_root=tree)).epochs == own_data.STEPS
    shutil.copytree(tree / "test", tree / "val")
    assert folder.clip_counts(tree) == {"train": 16, "val": 6, "test": 6}


def test_prepared_or_not_the_counts_are_the_same(tree, call, tmp_path):
    assert call("prepare", "folder", "--source", tree, "--out", tmp_path / "prepared", "--jobs", 1)[0] == 0
    assert folder.clip_counts(tmp_path / "prepared") == folder.clip_counts(tree)


def test_finished_runs_are_collected_when_their_data_have_gone(tree, tmp_path):
    config = CompareConfig(dataset="folder", data_root=tree, methods=("concat",), networks=("ann",), seeds=(0,),
                           variants=("vanilla",), out=tmp_path / "out")  # fmt: skip
    (before,) = grid(config)
    RunFolder(before.out).start(before.stored())
    write_json(RunFolder(before.out).results_file, {})
    shutil.rmtree(tree)
    (after,) = grid(config)
    assert after == replace(before, data_digest=None)
    assert grid(replace(config, epochs=3))[0].epochs == 3
