"""G-Blending against numbers worked out by hand, and what its copies learn."""

import copy

import pytest
import torch

from iemf.balance.g_blending import GBlending, blend
from iemf.errors import UserError
from iemf.training import checkpoint
from iemf.training.alone import Alone
from tests.iemf.balance.steps import method_of, step_of
from tests.iemf.small import classification_stage, classification_trainer


def test_weights_from_four_losses_each_by_hand():
    """fused: G = 1/2, O = 1/2, so 2; audio: 1/4 and 1/4, so 4; visual got no better on what is held: 0. Sum 6."""
    before = {"fused": (2.0, 2.0), "audio": (2.0, 2.0), "visual": (2.0, 2.5)}
    behind = {"fused": (1.0, 1.5), "audio": (1.5, 1.75), "visual": (1.0, 2.5)}
    assert blend(before, behind) == pytest.approx({"fused": 1 / 3, "audio": 2 / 3, "visual": 0.0})


def test_what_got_worse_counts_by_its_size():
    """Held 2 -> 3 with a gap of 0 -> 2: 1/4; held 2 -> 1 with one of 0 -> 1: 1."""
    found = blend({"fused": (2.0, 2.0), "audio": (2.0, 2.0)}, {"fused": (1.0, 3.0), "audio": (0.0, 1.0)})
    assert found == pytest.approx({"fused": 0.2, "audio": 0.8})


def test_no_overfitting_and_no_change_give_numbers():
    same = {"fused": (1.0, 1.0), "audio": (1.0, 1.0)}
    assert blend(same, same) == {"fused": 0.5, "audio": 0.5}
    found = blend(same, {"fused": (0.5, 0.5), "audio": (0.5, 1.0)})
    assert found == pytest.approx({"fused": 1.0, "audio": 0.0})


def test_every_loss_is_multiplied_by_its_weight(make_network, batch):
    network = make_network()
    method, _ = method_of("g-blending", network)
    plain, _ = step_of(method_of("concat", network)[0], network, batch[:2], batch[2])
    method.weights = {"fused": 0.5, "audio": 0.25, "visual": 0.0}
    found, _ = step_of(method, network, batch[:2], batch[2])
    torch.testing.assert_close(found["fusion.linear.weight"], 0.5 * plain["fusion.linear.weight"])
    torch.testing.assert_close(found["audio_head.weight"], 0.25 * plain["audio_head.weight"])
    assert not found["visual_head.weight"].any()
    with pytest.raises(UserError, match="g-blending is a rule for the losses of the heads"):
        GBlending(make_network(joint=False))


def blended(accelerator, epochs=4, meant=20, **options):
    """(stage, its optimiser): two super-epochs of two epochs."""
    stage = classification_stage(accelerator, method="g-blending", **options)
    optimizer = torch.optim.SGD(stage.module.parameters(), lr=0.05, momentum=0.9)
    stage.balance.use_optimizer(optimizer)
    stage.balance.use_epochs(epochs, meant)
    return stage, optimizer


def test_what_is_held_is_never_trained_on(accelerator):
    stage, _ = blended(accelerator)
    assert (len(stage.trained), len(stage.held), stage.steps) == (43, 5, 3)
    assert sorted(stage.trained + stage.held) == list(range(48))
    train = stage.data.train
    for epoch in (0, 1):
        seen = torch.cat([batch.audio for batch in stage.in_order(epoch)]).flatten(1)
        assert len(seen) == 43
        # The noise of every sample is its own, so that none is taken for another.
        known = {row: train.noisy["audio"][row].flatten() for row in range(48)}
        found = {row for row, x in known.items() if (seen == x).all(1).any()}
        assert found == set(stage.trained)
    assert classification_stage(accelerator, method="concat").held == []


@pytest.mark.parametrize("snn", [False, True])
def test_a_copy_learns_one_loss_and_the_run_waits(accelerator, snn):
    stage, optimizer = blended(accelerator, snn=snn)
    before = copy.deepcopy(stage.module.state_dict())
    learnt = stage.alone("audio", range(0, 2), optimizer)
    for name, weights in stage.module.state_dict().items():
        assert torch.equal(weights, before[name]), name
    assert not optimizer.state
    assert all(p.grad is None for p in stage.module.parameters())
    changed = {name.split(".")[0] for name, p in learnt.module.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"audio_encoder", "audio_head"}
    changed = {name.split(".")[0] for name, p in stage.alone("fused", range(0, 1), optimizer).module.named_parameters()
               if not torch.equal(p, before[name])}  # fmt: skip
    assert changed == {"audio_encoder", "visual_encoder", "fusion"}


def test_the_gradients_of_a_copy_are_means_over_processes(accelerator, monkeypatch):
    """Another process has found nothing at all: half of one's own is left."""
    stage, _ = blended(accelerator)
    alone = Alone(stage, "audio")
    outcome = alone.loss(stage.module, next(iter(stage.in_order(0))), 0)
    outcome.loss.backward()
    own = {p: p.grad.clone() for p in stage.module.parameters() if p.grad is not None}
    alone.on_gradients(outcome, 0)
    assert all(torch.equal(p.grad, g) for p, g in own.items())
    of_nothing = lambda x: x + torch.eye(len(x))[-1]  # noqa: E731
    monkeypatch.setattr("iemf.training.alone.sum_over_processes", of_nothing)
    alone.on_gradients(outcome, 0)
    assert len(own) > 10
    for p, g in own.items():
        torch.testing.assert_close(p.grad, g / 2)


def test_weights_are_found_anew_in_each_super_epoch_and_only_then(accelerator, monkeypatch):
    stage, _ = blended(accelerator)
    asked, found = [], []
    original = type(stage).alone
    monkeypatch.setattr(type(stage), "alone", lambda self, name, epochs, optimizer: asked.append((name, epochs))
                        or original(self, name, epochs, optimizer))  # fmt: skip
    for epoch in range(4):
        next(iter(stage.batches(epoch)))
        found.append(dict(stage.balance.weights))
    names = ("fused", "audio", "visual")
    assert asked == [(name, epochs) for epochs in (range(0, 2), range(2, 4)) for name in names]
    assert found[0] == found[1] != found[2] == found[3]
    for weights in found:
        assert sum(weights.values()) == pytest.approx(1)
        assert all(0 <= w <= 1 for w in weights.values())
    assert found[0] != dict.fromkeys(names, 1 / 3)


def test_the_last_super_epoch_ends_with_the_run(accelerator, monkeypatch):
    stage, _ = blended(accelerator, epochs=3, meant=3)
    asked = []
    monkeypatch.setattr(type(stage), "alone", lambda self, name, epochs, _: asked.append(epochs) or self)
    next(iter(stage.batches(0)))
    assert set(asked) == {range(0, 3)}


def test_the_optimiser_has_to_be_known(accelerator):
    stage = classification_stage(accelerator, method="g-blending")
    with pytest.raises(ValueError, match="call use_optimizer first"):
        stage.batches(0)


def test_validation_and_test_are_not_looked_at(tmp_path, accelerator, monkeypatch):
    """Weights are those of a run whose validation is another set."""
    weights = []
    for other in (False, True):
        run = classification_trainer(tmp_path / str(other), accelerator, method="g-blending", epochs=1)
        if other:
            run.stage.val_loader = run.stage.test_loader
        run.fit()
        weights.append(run.stage.balance.weights)
    assert weights[0] == weights[1]


def test_a_run_resumed_inside_a_super_epoch_keeps_its_weights(tmp_path, accelerator, monkeypatch):
    def made(name):
        return classification_trainer(tmp_path / name, accelerator, method="g-blending", epochs=2, meant=10)

    whole, broken = made("whole"), made("broken")
    whole.fit()
    original = broken.stage.validate
    monkeypatch.setattr(broken.stage, "validate", lambda epoch: original(epoch) if epoch == 0 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.fit()
    again = made("broken")
    monkeypatch.setattr(type(again.stage), "alone", None)  # nothing is learnt anew
    again.fit(resume=True)
    assert again.stage.balance.weights == whole.stage.balance.weights
    first, second = (checkpoint.load(run.folder.last_checkpoint)["network"] for run in (whole, again))
    assert all(torch.equal(weights, second[name]) for name, weights in first.items())
