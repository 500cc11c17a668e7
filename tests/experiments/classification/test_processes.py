"""A run of two processes and a run of one: what their folders and results say."""

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from experiments import firing_rates
from experiments.classification import run
from experiments.classification.options import RunConfig
from iemf.classification.evaluate import Evaluation
from iemf.data.sets import av_digits
from iemf.lock import LOCK
from iemf.training import RunFolder
from tests.experiments.helpers import few_digits

SMALL = RunConfig(epochs=3, batch_size=48, width=2, progress=False, seed=1)
SNN = replace(SMALL, iemf=True, network="snn", time_steps=2, lif_backend="torch")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def train_replica(rank, port, folder):
    """What a launcher sets up for one of two processes on the CPU, then a run."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")  # fmt: skip
    torch.set_num_threads(1)
    with few_digits():
        run.train(replace(SNN, method="ogm-ge", epochs=1, batch_size=30, out=Path(folder) / "run"))
    torch.distributed.destroy_process_group()


def test_results_of_two_processes_are_counted_as_one_would(tmp_path):
    torch.multiprocessing.spawn(train_replica, (free_port(), str(tmp_path)), nprocs=2)
    with few_digits():
        alone = firing_rates.inspect(tmp_path / "run", batch_size=250)
    results = RunFolder(tmp_path / "run").results()
    assert results["test_accuracy"] == pytest.approx(alone["test_accuracy"])
    # 80 samples in batches of 30 for two: the last batches may repeat some
    assert results["firing_rate"] == pytest.approx(alone["firing_rate"], rel=0.05)


def test_the_run_folder_and_its_results(tmp_path):
    config = replace(SNN, out=tmp_path / "run")
    with few_digits():
        results = run.train(config)
    files = {p.name for p in config.out.iterdir()} - {LOCK}
    assert files == {"config.json", "metrics.jsonl", "results.json", "checkpoints", "tensorboard"}
    assert json.loads((config.out / "results.json").read_text()) == results
    for name in ("test_accuracy", "test_accuracy_audio", "test_accuracy_visual", "firing_rate"):
        assert 0 <= results[name] <= 100
    records = RunFolder(config.out).metrics()
    best = max(records, key=lambda record: (record["val_accuracy_fused"], -record["val_loss"]))
    assert results["best_epoch"] == best["epoch"]
    assert results["val_accuracy"] == best["val_accuracy_fused"]


def test_the_test_split_is_read_once_with_the_best_epochs_weights(tmp_path, monkeypatch):
    """Validation says epoch 0 is best."""
    seen, calls = {}, []

    def fake(network, front_end, loader, accelerator):
        weights = network.state_dict()["fusion.linear.weight"].clone()
        test = len(calls) == 3
        calls.append(len(loader.dataset))
        seen["test" if test else len(seen)] = weights
        accuracies = {"audio": 1.0, "visual": 2.0, "fused": 3.0 if test else 90.0 - len(seen)}
        return Evaluation(accuracies, 1.0, torch.zeros(1, 3))

    monkeypatch.setattr("iemf.classification.splits.evaluate", fake)
    with mock.patch.dict(av_digits.SPLIT_PER_DIGIT, {"train": 12, "val": 5, "test": 7}):
        results = run.train(replace(SMALL, out=tmp_path / "run"))
    assert calls == [50, 50, 50, 70]
    assert results["best_epoch"] == 0
    assert (results["test_accuracy"], results["test_accuracy_audio"], results["test_accuracy_visual"]) == (3, 1, 2)
    assert torch.equal(seen["test"], seen[0])
    assert not torch.equal(seen["test"], seen[2])


def test_an_unfinished_run_has_no_results_and_resumed_it_has_those_of_a_whole_one(tmp_path, monkeypatch):
    from iemf.training.step import Step

    def without_times(results):
        return {k: v for k, v in results.items() if k not in ("seconds", "seconds_this_session")}

    original, seen = Step.__call__, []

    def step(self, batch, epoch):
        seen.append(epoch)
        if seen.count(1) == 2:
            raise KeyboardInterrupt
        return original(self, batch, epoch)

    config = replace(SMALL, iemf=True, out=tmp_path / "broken")
    with few_digits():
        whole = run.train(replace(config, out=tmp_path / "whole"))
        with monkeypatch.context() as patched:
            patched.setattr(Step, "__call__", step)
            with pytest.raises(KeyboardInterrupt):
                run.train(config)
        assert not (config.out / "results.json").exists()
        assert without_times(run.train(replace(config, resume=True))) == without_times(whole)
