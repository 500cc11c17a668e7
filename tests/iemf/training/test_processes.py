"""Several processes: the scores of the global batch, hence the same ξ on every replica."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed
import torch.multiprocessing

from experiments import classification, firing_rates
from experiments.options import RunConfig
from iemf.balance import OGMGE, InverseEffectiveness
from iemf.training import RunFolder, Trainer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def logits_and_labels():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(7, 4, generator=generator) for _ in range(3)], torch.arange(7) % 4


def modulate(rows):
    logits, labels = logits_and_labels()
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.ones(2)
    audio, visual, fused = (part[rows] for part in logits)
    InverseEffectiveness([parameter]).modulate([audio, visual], fused, labels[rows])
    return parameter.grad[0]


def replica(rank, port, folder):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    # Shares of unequal size: a mean of means would be wrong.
    torch.save(modulate(slice(0, 5) if rank == 0 else slice(5, 7)), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_xi_is_that_of_the_global_batch_on_every_replica(tmp_path):
    torch.multiprocessing.spawn(replica, (free_port(), str(tmp_path)), nprocs=2)
    replicas = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert torch.equal(*replicas)
    torch.testing.assert_close(replicas[0], modulate(slice(0, 7)))
    assert not torch.isclose(replicas[0], modulate(slice(0, 5)), rtol=1e-4)


def test_ogm_ge_reduces_its_scores_too(monkeypatch, make_network, batch):
    """The scores handed to the reduction are sums over samples, not means."""
    seen = []
    monkeypatch.setattr("iemf.balance.ogm_ge.sum_over_processes", lambda x: seen.append(x.clone()) or x)
    network = make_network()
    output = network(*batch[:2])
    output.logits.fused.sum().backward()
    OGMGE(network).on_gradients(output, batch[2], 0)
    parts = network.fusion.contributions(output.audio, output.visual)
    expected = torch.stack([p.softmax(1).gather(1, batch[2][:, None]).sum() for p in parts])
    torch.testing.assert_close(seen[0], expected)


def train_replica(rank, port, folder):
    """What a launcher sets up for one of two processes on the CPU, then a run; its last weights are kept."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port), ACCELERATE_USE_CPU="true")  # fmt: skip
    torch.set_num_threads(1)
    test = Trainer.test

    def keep_and_test(self):
        weights = dict(self.network.named_parameters())
        torch.save((self.history, weights), f"{folder}/{rank}.pt")
        return test(self)

    Trainer.test = keep_and_test
    config = RunConfig(iemf=True, method="ogm-ge", network="snn", time_steps=2, width=2, epochs=1, batch_size=75)
    classification.train(replace(config, progress=False, out=Path(folder) / "run"))
    torch.distributed.destroy_process_group()


def test_two_processes_train_one_network(tmp_path):
    """Noise of OGM-GE, ξ and gradients agree, so the replicas stay the same; test is counted as one process would."""
    torch.multiprocessing.spawn(train_replica, (free_port(), str(tmp_path)), nprocs=2)
    (history, weights), (_, others) = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2))
    for name, weight in weights.items():
        assert torch.equal(weight, others[name]), name
    assert len(history) == 1
    results, alone = RunFolder(tmp_path / "run").results(), firing_rates.inspect(tmp_path / "run", batch_size=250)
    assert results["test_accuracy"] == pytest.approx(alone["test_accuracy"])
    # 1000 samples in batches of 75 for two: the last batches repeat 50 samples, no more
    assert results["firing_rate"] == pytest.approx(alone["firing_rate"], rel=0.02)
