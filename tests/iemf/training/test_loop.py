"""The loop, on any stage: resumption bit for bit, the best epoch, divergence, what is recorded."""

import random

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from iemf.classification.evaluate import Evaluation
from iemf.errors import UserError
from iemf.modulation import InverseEffectiveness
from iemf.training import RunFolder, Window, checkpoint
from iemf.training.step import Step
from tests.iemf.small import SIZES, Toy, classification_trainer, toy_trainer

FAST = {"cpu": True}


class Interruption(Exception):
    pass


@pytest.fixture
def interrupt(monkeypatch):
    """Make training break off in the middle of an epoch, once."""

    def arm(epoch, batches):
        original, seen = Step.__call__, []

        def step(self, batch, current):
            if current == epoch:
                seen.append(batch)
                if len(seen) > batches:
                    monkeypatch.setattr(Step, "__call__", original)
                    raise Interruption
            return original(self, batch, current)

        monkeypatch.setattr(Step, "__call__", step)

    return arm


def timeless(history):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in history]


def same(module, other):
    a, b = (each if isinstance(each, dict) else each.state_dict() for each in (module, other))
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


@pytest.mark.parametrize(
    ("accelerator", "options"),
    [
        (FAST, {"method": "ogm-ge", "iemf": True}),
        (FAST, {"method": "mslr", "snn": True, "vanilla": True}),
        (FAST, {"method": "lfm", "optimizer": "adam", "lr": 1e-3}),
        (FAST, {"method": "mmpareto", "iemf": True, "optimizer": "adam", "lr": 1e-3}),
        (FAST, {"method": "agm", "snn": True}),
        (FAST, {"method": "pmr", "iemf": True}),
        (FAST, {"method": "g-blending", "snn": True, "meant": 30}),
        (FAST, {"method": "concat", "iemf": True, "recipe": "released", "drop": 1}),
        (FAST | {"mixed_precision": "bf16"}, {"iemf": True, "optimizer": "adamw", "lr": 1e-3}),
    ],
    ids=[
        "ogm-ge-iemf",
        "mslr-snn",
        "lfm-adam",
        "mmpareto-adam",
        "agm-snn",
        "pmr",
        "g-blending",
        "released",
        "adamw-step-bf16",
    ],
    indirect=["accelerator"],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, accelerator, interrupt, options):
    whole = classification_trainer(tmp_path / "whole", accelerator, **options)
    expected = whole.fit()
    broken = classification_trainer(tmp_path / "broken", accelerator, **options)
    interrupt(epoch=1, batches=2)
    with pytest.raises(Interruption):
        broken.fit()
    assert len(broken.folder.metrics()) == 1
    resumed = classification_trainer(tmp_path / "broken", accelerator, **options)
    actual = resumed.fit(resume=True)
    a, b = (checkpoint.load(run.folder.last_checkpoint) for run in (whole, resumed))
    same(a["network"], b["network"])
    assert timeless(a["history"]) == timeless(b["history"]) == timeless(actual) == timeless(expected)
    assert a["best"] == b["best"] == whole.best == resumed.best
    same(whole.stage.module, resumed.stage.module)  # the best epoch's
    assert whole.stage.test() == resumed.stage.test()


@pytest.mark.parametrize("stop", [(1, 2), (2, 2)], ids=["in the second epoch", "in the third"])
def test_resumed_a_stage_that_draws_dropout_ends_as_if_it_had_not_stopped(tmp_path, accelerator, interrupt, stop):
    """Random numbers begin anew each epoch, so none of their states needs to come back."""
    whole = toy_trainer(tmp_path / "whole", Toy(), accelerator)
    expected = whole.fit()
    interrupt(*stop)
    with pytest.raises(Interruption):
        toy_trainer(tmp_path / "part", Toy(), accelerator).fit()
    again = Toy()
    torch.rand(5)  # whatever was drawn meanwhile
    resumed = toy_trainer(tmp_path / "part", again, accelerator)
    assert timeless(resumed.fit(resume=True)) == timeless(expected)
    assert resumed.best == whole.best
    same(again.module, whole.stage.module)
    same(*(checkpoint.load(run.folder.last_checkpoint)["network"] for run in (whole, resumed)))
    assert timeless(resumed.folder.metrics()) == timeless(expected)
    assert again.count == 4  # the stage's own state came back


def test_a_finished_run_resumed_trains_nothing(tmp_path, accelerator):
    whole = toy_trainer(tmp_path, Toy(), accelerator)
    expected = whole.fit()
    again = Toy()
    assert toy_trainer(tmp_path, again, accelerator).fit(resume=True) == expected
    assert again.seen == []
    same(again.module, whole.stage.module)


def test_an_epochs_random_numbers_are_the_seeds_and_the_epochs_alone(tmp_path, accelerator):
    drawn = []

    class Drawing(Toy):
        def batches(self, epoch):
            drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
            return super().batches(epoch)

    for seed in (1, 2):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        toy_trainer(tmp_path / str(seed), Drawing(), accelerator, epochs=3).fit()
    assert drawn[:3] == drawn[3:]
    assert len({value for draw in drawn for value in draw}) == 9


def test_the_best_epochs_weights_are_left_and_metrics_are_written(tmp_path, accelerator):
    stage = Toy()
    run = toy_trainer(tmp_path, stage, accelerator, iemf=True)
    history = run.fit()
    assert stage.seen == [4, 4, 2] * 4
    assert run.best["epoch"] == 2
    assert [record["epoch"] for record in history] == [0, 1, 2, 3]
    assert [record["val_accuracy"] for record in history] == [1, 2, 5, 3]
    assert all(0 < record["xi"] <= 1.7616 for record in history)
    assert run.folder.metrics() == history
    third = toy_trainer(tmp_path / "x", Toy(), accelerator, epochs=3, iemf=True)
    third.fit()
    same(third.stage.module, stage.module)
    assert [record["lr"] for record in history] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    assert run.raw_optimizer.param_groups[0]["lr"] == pytest.approx(0.01)  # of the last step


def test_the_first_of_equal_epochs_is_kept(tmp_path, accelerator):
    run = toy_trainer(tmp_path, Toy(ranks=(2.0, 2.0)), accelerator, epochs=2)
    run.fit()
    assert run.best["epoch"] == 0
    assert run.history[0]["xi"] is None


def test_of_equal_accuracies_the_lower_loss_is_the_better(tmp_path, accelerator):
    stage = Toy()
    stage.validate = lambda epoch: ((50.0, -(1.0, 0.5, 0.7)[epoch]), {})
    run = toy_trainer(tmp_path, stage, accelerator, epochs=3)
    run.fit()
    assert run.best == {"epoch": 1, "rank": [50.0, -0.5]}


def test_a_window_limits_xi(tmp_path, accelerator):
    run = toy_trainer(tmp_path, Toy(), accelerator, iemf=True, window=Window(1, 2))
    run.fit()
    for name in ("xi", "s_unimodal", "s_fused"):
        assert [record[name] is not None for record in run.history] == [False, True, True, False], name


def test_a_stages_records_follow_those_of_the_stages_before(tmp_path, accelerator):
    stage = Toy()
    stage.about = {"task": 1}
    before = [{"task": 0, "epoch": 0}]
    run = toy_trainer(tmp_path, stage, accelerator, epochs=2, before=before)
    history = run.fit()
    assert [(record["task"], record["epoch"]) for record in history] == [(1, 0), (1, 1)]
    assert run.folder.metrics() == before + history


def test_a_checkpoint_of_the_stage_before_begins_this_one(tmp_path, accelerator):
    first = toy_trainer(tmp_path, Toy(), accelerator, epochs=2)
    first.fit()
    stage = Toy()
    stage.name = "the next"
    second = toy_trainer(tmp_path, stage, accelerator, epochs=1, before=first.history)
    assert [record["epoch"] for record in second.fit(resume=True)] == [0]
    assert stage.seen == [4, 4, 2]
    assert len(second.folder.metrics()) == 3


def test_the_folder_and_the_losses(tmp_path, accelerator):
    run = classification_trainer(tmp_path / "run", accelerator, iemf=True, snn=True)
    records = run.fit()
    path = run.folder.path
    assert {p.name for p in path.iterdir()} == {"config.json", "metrics.jsonl", "checkpoints", "tensorboard"}
    assert {p.name for p in (path / "checkpoints").iterdir()} == {"last.pt", "previous.pt", "best.pt"}
    assert list((path / "tensorboard").iterdir())
    assert RunFolder(path).metrics() == records
    assert [record["epoch"] for record in records] == [0, 1, 2]
    best = max(records, key=lambda record: (record["val_accuracy_fused"], -record["val_loss"]))
    assert run.best["epoch"] == best["epoch"]
    assert 0 < records[0]["xi"] <= 1.7616
    # the loss is L_av + L_a + L_v
    parts = sum(records[0][f"loss_{part}"] for part in ("fused", "audio", "visual"))
    assert records[0]["loss"] == pytest.approx(parts)


def test_the_best_epochs_weights_are_the_ones_tested(tmp_path, accelerator, monkeypatch):
    """Validation says epoch 0 is best; the test must be read with its weights."""
    seen, calls = {}, []

    def fake(network, front_end, loader, accelerator):
        calls.append(len(loader.dataset))
        weights = network.state_dict()["fusion.linear.weight"].clone()
        if len(loader.dataset) == SIZES["val"]:  # ever worse
            seen[len(seen)] = weights
            return Evaluation({"audio": 0.0, "visual": 0.0, "fused": 90.0 - len(seen)}, 1.0, torch.zeros(1, 3))
        seen["test"] = weights
        return Evaluation({"audio": 1.0, "visual": 2.0, "fused": 3.0}, 1.0, torch.zeros(1, 3))

    monkeypatch.setattr("iemf.classification.splits.evaluate", fake)
    run = classification_trainer(tmp_path, accelerator)
    run.fit()
    assert run.stage.test()[0] == {"audio": 1.0, "visual": 2.0, "fused": 3.0}
    assert calls == [SIZES["val"]] * 3 + [SIZES["test"]]
    assert run.best["epoch"] == 0
    assert torch.equal(seen["test"], seen[0])
    assert not torch.equal(seen["test"], seen[2])


def test_divergence_is_one_clear_line(tmp_path, accelerator):
    stage = Toy()
    loss = stage.loss

    def diverged(network, batch, epoch):
        outcome = loss(network, batch, epoch)
        return outcome._replace(totals={"loss": outcome.loss.detach() * float("nan")})

    stage.loss = diverged
    with pytest.raises(UserError, match="training diverged: the loss of epoch 0 is nan") as caught:
        toy_trainer(tmp_path, stage, accelerator).fit()
    assert str(caught.value).endswith("No epoch had finished, so there is no checkpoint")
    assert "\n" not in str(caught.value)
    assert not RunFolder(tmp_path).last_checkpoint.exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_validation_loss_that_is_not_finite_stops(tmp_path, accelerator, value):
    stage = Toy()
    stage.about = {"task": 2}
    stage.validate = lambda epoch: ((1.0, -value), {})
    with pytest.raises(UserError, match=f"the validation loss of task 2, epoch 0 is {value};"):
        toy_trainer(tmp_path, stage, accelerator).fit()


def test_a_stage_may_explain_a_loss_that_is_not_finite(tmp_path, accelerator):
    stage = Toy()
    stage.x[3] = float("nan")

    def explain():
        raise UserError("the features are to blame")

    stage.explain = explain
    with pytest.raises(UserError, match="the features are to blame"):
        toy_trainer(tmp_path, stage, accelerator).fit()


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, accelerator, monkeypatch):
    original = Step.__call__

    def step(self, batch, epoch):
        if epoch == 1:
            self.network.fusion.linear.weight.data.fill_(float("nan"))
        return original(self, batch, epoch)

    monkeypatch.setattr(Step, "__call__", step)
    run = classification_trainer(tmp_path, accelerator)
    with pytest.raises(
        UserError, match=r"diverged: the loss of epoch 1 is nan.*lower `lr` than 0.02.*checkpoint of epoch 0 is kept"
    ):
        run.fit()
    kept = checkpoint.load(run.folder.last_checkpoint)
    assert kept["epoch"] == 0
    assert all(torch.isfinite(w).all() for w in kept["network"].values() if w.is_floating_point())
    monkeypatch.setattr(Step, "__call__", original)
    resumed = classification_trainer(tmp_path, accelerator)
    assert len(resumed.fit(resume=True)) == 3
    assert resumed.best["epoch"] in (0, 1, 2)


@pytest.mark.parametrize("make", ["toy", "classification"])
def test_fused_evidence_of_zero_stops(tmp_path, accelerator, monkeypatch, make):
    original = InverseEffectiveness.measure

    def measure(self, unimodal, fused, labels):
        return original(self, unimodal, torch.full_like(fused, 0).scatter(1, labels[:, None], -1e4), labels)

    monkeypatch.setattr(InverseEffectiveness, "measure", measure)
    if make == "toy":
        run = toy_trainer(tmp_path, Toy(), accelerator, iemf=True, clip_norm=1.0)
    else:
        run = classification_trainer(tmp_path, accelerator, iemf=True, clip_norm=1.0)
    with pytest.raises(UserError, match=r"S_av was 0 in 3 batch.* of epoch 0: .*lower `lr`") as caught:
        run.fit()
    assert "\n" not in str(caught.value)
    assert not run.folder.last_checkpoint.exists()


@pytest.fixture
def cuda():
    from accelerate.state import AcceleratorState

    yield lambda precision="no": Accelerator(mixed_precision=precision)
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.gpu
@pytest.mark.parametrize("snn", [False, True])
def test_a_step_never_waits_for_the_device(tmp_path, cuda, monkeypatch, snn):
    original, steps = Step.__call__, []

    def step(self, batch, epoch):
        steps.append(epoch)
        if len(steps) < 4:  # cuDNN and the allocator settle
            return original(self, batch, epoch)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return original(self, batch, epoch)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Step, "__call__", step)
    classification_trainer(tmp_path, cuda(), snn=snn, iemf=True, method="ogm-ge").fit()
    assert len(steps) == 9


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_trains_on_cuda_in_every_precision(tmp_path, cuda, precision):
    accelerator = cuda(precision)
    run = classification_trainer(tmp_path, accelerator, snn=True, iemf=True, method="ogm-ge")
    assert len(run.fit()) == 3
    assert accelerator.device.type == "cuda"
