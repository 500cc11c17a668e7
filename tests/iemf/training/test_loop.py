"""The loop: resumption bit for bit, divergence, what is recorded, several processes."""

import json
from dataclasses import replace

import pytest
import torch

from experiments import classification
from experiments.options import RunConfig
from iemf.balance import METHODS, InverseEffectiveness
from iemf.errors import UserError
from iemf.training import RunFolder, Trainer, checkpoint

SMALL = RunConfig(epochs=3, batch_size=250, width=2, progress=False, seed=1)


class Interruption(Exception):
    pass


@pytest.fixture
def interrupt(monkeypatch):
    """Make training break off in the middle of an epoch, once."""

    def arm(epoch, batches):
        original, seen = Trainer._step, []

        def step(self, batch, current):
            if current == epoch:
                seen.append(batch)
                if len(seen) > batches:
                    monkeypatch.setattr(Trainer, "_step", original)
                    raise Interruption
            return original(self, batch, current)

        monkeypatch.setattr(Trainer, "_step", step)

    return arm


@pytest.mark.parametrize(
    "options",
    [
        {"method": "ogm-ge", "iemf": True},
        {"method": "mslr", "network": "snn", "time_steps": 2},
        {"method": "lfm", "joint": True, "optimizer": "adam", "lr": 1e-3},
        {"method": "concat", "iemf": True, "recipe": "released", "lr_drop": 1},
        {"method": "concat", "iemf": True, "optimizer": "adamw", "lr": 1e-3, "precision": "bf16"},
    ],
    ids=["ogm-ge-iemf", "mslr-snn", "lfm-adam", "released", "adamw-step-bf16"],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, interrupt, options):
    whole = replace(SMALL, out=tmp_path / "whole", **options)
    broken = replace(SMALL, out=tmp_path / "broken", **options)
    expected = classification.train(whole)
    interrupt(epoch=1, batches=2)
    with pytest.raises(Interruption):
        classification.train(broken)
    assert not (broken.out / "results.json").exists()
    actual = classification.train(replace(broken, resume=True))
    a, b = (checkpoint.load(RunFolder(c.out).last_checkpoint) for c in (whole, broken))
    assert a["network"].keys() == b["network"].keys()
    for name, weights in a["network"].items():
        assert torch.equal(weights, b["network"][name]), name
    timings = ("seconds", "seconds_this_session")
    histories = [[{k: v for k, v in r.items() if k not in timings} for r in c["history"]] for c in (a, b)]
    assert histories[0] == histories[1]
    assert {k: v for k, v in expected.items() if k not in timings} == {
        k: v for k, v in actual.items() if k not in timings
    }


def test_the_run_folder_and_its_results(tmp_path):
    config = replace(SMALL, out=tmp_path / "run", iemf=True, network="snn", time_steps=2)
    results = classification.train(config)
    files = {p.name for p in config.out.iterdir()}
    assert files == {"config.json", "metrics.jsonl", "results.json", "checkpoints", "tensorboard"}
    assert {p.name for p in (config.out / "checkpoints").iterdir()} == {"last.pt", "best.pt"}
    assert list((config.out / "tensorboard").iterdir())
    assert json.loads((config.out / "results.json").read_text()) == results
    for name in ("test_accuracy", "test_accuracy_audio", "test_accuracy_visual", "firing_rate"):
        assert 0 <= results[name] <= 100
    records = RunFolder(config.out).metrics()
    assert [record["epoch"] for record in records] == [0, 1, 2]
    best = max(records, key=lambda record: (record["val_accuracy_fused"], -record["val_loss"]))
    assert results["best_epoch"] == best["epoch"]
    assert 0 < records[0]["xi"] <= 1.7616
    # the loss is L_av + L_a + L_v
    parts = sum(records[0][f"loss_{part}"] for part in ("fused", "audio", "visual"))
    assert records[0]["loss"] == pytest.approx(parts)


def test_the_best_epochs_weights_are_the_ones_tested(tmp_path, monkeypatch):
    """Validation says epoch 0 is best; the test must be read with its weights, once."""
    seen, calls = {}, []

    def fake(prepared, front_end, loader, accelerator):
        from iemf.balance import Accuracies

        calls.append(len(loader.dataset))
        weights = prepared.state_dict()["fusion.linear.weight"].clone()
        if len(loader.dataset) == 500:  # validation: ever worse
            seen[len(seen)] = weights
            return Accuracies(0.0, 0.0, 90.0 - len(seen)), 1.0
        seen["test"] = weights
        return Accuracies(1.0, 2.0, 3.0), 1.0

    monkeypatch.setattr("iemf.training.loop.evaluate", fake)
    results = classification.train(replace(SMALL, out=tmp_path / "run"))
    assert calls == [500, 500, 500, 1000]
    assert results["best_epoch"] == 0
    assert torch.equal(seen["test"], seen[0])
    assert not torch.equal(seen["test"], seen[2])


@pytest.mark.parametrize("method", METHODS)
def test_iemf_differs_from_joint_learning_in_the_fusion_alone_after_one_step(tmp_path, monkeypatch, method):
    """The whole loop, one batch: equal weights but for the fusion, whose update is ξ times the other's."""
    xis = []
    original = InverseEffectiveness.modulate

    def spy(self, *args):
        xis.append(original(self, *args))
        return xis[-1]

    monkeypatch.setattr(InverseEffectiveness, "modulate", spy)
    options = {"epochs": 1, "batch_size": 1500, "method": method, "momentum": 0.0, "weight_decay": 0.0, "lr": 0.1}
    weights = {}
    for variant in ("start", "joint", "iemf"):
        chosen = {"joint": variant == "joint", "iemf": variant == "iemf"}
        if variant == "start":
            chosen = {"joint": True}
            with monkeypatch.context() as frozen:
                frozen.setattr(torch.optim.SGD, "step", lambda self, closure=None: None)
                classification.train(replace(SMALL, out=tmp_path / variant, **options, **chosen))
        else:
            classification.train(replace(SMALL, out=tmp_path / variant, **options, **chosen))
        weights[variant] = checkpoint.load(tmp_path / variant / "checkpoints" / "last.pt")["network"]
    (xi,) = xis
    assert abs(xi.item() - 1) > 1e-4
    for name, start in weights["start"].items():
        joint, iemf = weights["joint"][name], weights["iemf"][name]
        if name.startswith("fusion."):
            torch.testing.assert_close(iemf - start, xi * (joint - start), rtol=1e-4, atol=1e-6)
            assert not torch.equal(iemf, joint)
        else:
            assert torch.equal(iemf, joint), name


def test_heads_of_a_vanilla_run_learn_but_leave_the_rest_alone(tmp_path, monkeypatch):
    """Vanilla equals a run whose heads have no loss at all, heads aside."""
    import torch.nn.functional as F

    real, calls = F.cross_entropy, []

    def without_heads(logits, labels, **options):
        calls.append(1)
        loss = real(logits, labels, **options)
        return loss if len(calls) % 3 == 1 or options.get("reduction") == "none" else 0 * loss

    with monkeypatch.context() as patched:
        patched.setattr("iemf.training.loop.F.cross_entropy", without_heads)
        patched.setattr("iemf.training.loop.evaluate", lambda *a: ((0.0, 0.0, 0.0), 1.0))
        patched.setattr(Trainer, "fit", lambda self, resume=False: self._train_epoch(0, self._bar(0)))
        captured = {}
        patched.setattr(Trainer, "test", lambda self: captured.update(self.network.state_dict()) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            classification.train(replace(SMALL, out=tmp_path / "bare", epochs=1))
    first = replace(SMALL, out=tmp_path / "one", epochs=1)
    classification.train(first)
    probes = checkpoint.load(RunFolder(first.out).last_checkpoint)["network"]
    for name, weights in captured.items():
        assert torch.equal(weights, probes[name]) != ("head" in name), name


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    config = replace(SMALL, out=tmp_path / "run")
    original = Trainer._step

    def step(self, batch, epoch):
        if epoch == 1:
            self.network.fusion.linear.weight.data.fill_(float("nan"))
        return original(self, batch, epoch)

    monkeypatch.setattr(Trainer, "_step", step)
    with pytest.raises(
        UserError, match=r"diverged: the loss of epoch 1 is nan.*lower --lr than 0.02.*checkpoint of epoch 0 is kept"
    ):
        classification.train(config)
    kept = checkpoint.load(RunFolder(config.out).last_checkpoint)
    assert kept["epoch"] == 0
    assert all(torch.isfinite(w).all() for w in kept["network"].values() if w.is_floating_point())
    assert not (config.out / "results.json").exists()
    monkeypatch.setattr(Trainer, "_step", original)
    assert classification.train(replace(config, resume=True))["best_epoch"] in (0, 1, 2)


def test_fused_evidence_of_zero_stops(tmp_path, monkeypatch):
    config = replace(SMALL, out=tmp_path / "run", iemf=True, clip_norm=1.0)
    original = InverseEffectiveness.modulate

    def modulate(self, unimodal, fused, labels):
        return original(self, unimodal, torch.full_like(fused, 0).scatter(1, labels[:, None], -1e4), labels)

    monkeypatch.setattr(InverseEffectiveness, "modulate", modulate)
    with pytest.raises(UserError, match=r"S_av was 0 in 6 batch.*lower --lr"):
        classification.train(config)


def test_a_damaged_checkpoint_is_named(tmp_path, interrupt):
    config = replace(SMALL, out=tmp_path / "run")
    interrupt(epoch=1, batches=0)
    with pytest.raises(Interruption):
        classification.train(config)
    path = RunFolder(config.out).last_checkpoint
    whole = path.read_bytes()
    for damaged in (whole[:1000], b"", b"\x80\x04\x95junk", bytes(range(256)) * 20, whole[:-500]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"last\.pt is not a readable checkpoint"):
            classification.train(replace(config, resume=True))


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"epoch": 1})
    with pytest.raises(TypeError):
        checkpoint.save(path, {"epoch": (i for i in range(3))})  # cannot be pickled
    assert checkpoint.load(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_random_states_come_back():
    import random

    import numpy as np

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    states = checkpoint.random_states()
    first = draw()
    checkpoint.restore_random_states(states)
    assert draw() == first


@pytest.mark.gpu
def test_a_step_never_waits_for_the_device(tmp_path, monkeypatch):
    original, steps = Trainer._step, []

    def step(self, batch, epoch):
        steps.append(epoch)
        if len(steps) < 4:  # cuDNN and the allocator settle
            return original(self, batch, epoch)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return original(self, batch, epoch)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Trainer, "_step", step)
    for network in ("ann", "snn"):
        classification.train(replace(SMALL, out=tmp_path / network, network=network, iemf=True, method="ogm-ge"))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_trains_on_cuda_in_every_precision(tmp_path, precision):
    results = classification.train(
        replace(SMALL, out=tmp_path / "run", network="snn", iemf=True, method="ogm-ge", precision=precision)
    )
    assert results["device"].startswith("cuda")
