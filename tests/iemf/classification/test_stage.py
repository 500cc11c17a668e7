"""Classification in the loop: what IEMF changes, what heads of a vanilla run leave alone, what a method sees."""

import copy

import pytest
import torch
import torch.nn.functional as F

from iemf.balance import METHODS
from iemf.classification.stage import ClassificationStage
from iemf.modulation import InverseEffectiveness
from iemf.training import checkpoint
from tests.iemf.small import SIZES, classification_stage, classification_trainer


@pytest.mark.parametrize("method", METHODS)
def test_iemf_differs_from_joint_learning_in_the_fusion_alone_after_one_step(
    tmp_path, accelerator, monkeypatch, method
):
    """The whole loop, one batch: equal weights but for the fusion, whose update is ξ times the other's."""
    xis = []
    original = InverseEffectiveness.measure

    def spy(self, *args):
        effect = original(self, *args)
        xis.append(effect.xi)
        return effect

    monkeypatch.setattr(InverseEffectiveness, "measure", spy)
    options = {"epochs": 1, "batch_size": SIZES["train"], "method": method, "momentum": 0.0, "weight_decay": 0.0,
               "lr": 0.1}  # fmt: skip
    weights = {}
    for variant in ("joint", "iemf"):
        run = classification_trainer(tmp_path / variant, accelerator, iemf=variant == "iemf", **options)
        weights["start"] = copy.deepcopy(run.stage.module.state_dict())
        run.fit()
        weights[variant] = checkpoint.load(run.folder.last_checkpoint)["network"]
    (xi,) = xis
    assert abs(xi.item() - 1) > 1e-4
    for name, start in weights["start"].items():
        joint, iemf = weights["joint"][name], weights["iemf"][name]
        if name.startswith("fusion."):
            torch.testing.assert_close(iemf - start, xi * (joint - start), rtol=1e-4, atol=1e-6)
            assert not torch.equal(iemf, joint)
        else:
            assert torch.equal(iemf, joint), name


class WithoutHeads(ClassificationStage):
    """Heads have no loss at all."""

    def loss(self, network, batch, epoch):
        outcome = super().loss(network, batch, epoch)
        logits = outcome.output.output.logits
        return outcome._replace(loss=F.cross_entropy(logits.fused, batch.label))


def test_heads_of_a_vanilla_run_learn_but_leave_the_rest_alone(tmp_path, accelerator):
    """Vanilla equals a run whose heads have no loss at all, heads aside."""
    networks = []
    for make in (ClassificationStage, WithoutHeads):
        run = classification_trainer(tmp_path / make.__name__, accelerator, epochs=1, vanilla=True, make=make)
        run.fit()
        networks.append(checkpoint.load(run.folder.last_checkpoint)["network"])
    for name, weights in networks[0].items():
        assert torch.equal(weights, networks[1][name]) != ("head" in name), name


def test_the_loss_is_the_methods_and_that_of_every_head(accelerator):
    stage = classification_stage(accelerator, method="lfm")
    batch = next(stage.batches(0))
    stage.module.eval()
    outcome = stage.loss(stage.module, batch, 3)
    output = stage.module(batch.audio, batch.visual)
    fused = stage.balance.loss(F.cross_entropy(output.logits.fused, batch.label), output, batch.label, 3)
    heads = {name: F.cross_entropy(logits, batch.label) for name, logits in output.logits.unimodal.items()}
    torch.testing.assert_close(outcome.loss, fused + sum(heads.values()))
    assert outcome.samples == 16
    torch.testing.assert_close(outcome.totals["loss_fused"], 16 * fused.detach())
    for name, loss in heads.items():
        torch.testing.assert_close(outcome.totals[f"loss_{name}"], 16 * loss.detach())
    assert torch.equal(outcome.evidence.labels, batch.label)
    torch.testing.assert_close(outcome.evidence.logits.fused, output.logits.fused)


def test_order_and_noise_are_the_epochs_and_the_seeds_alone(accelerator):
    first, second = (classification_stage(accelerator) for _ in range(2))
    list(second.batches(0))  # another epoch before changes nothing
    batches = [list(stage.batches(1)) for stage in (first, second)]
    assert len(batches[0]) == first.steps == 3
    for a, b in zip(*batches, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(next(first.batches(2)).audio, batches[0][0].audio)
    assert first.front_end.training


def test_the_method_sees_validation_and_its_state_is_the_stages(accelerator):
    stage = classification_stage(accelerator, method="mslr")
    rank, record = stage.validate(0)
    assert rank == (record["val_accuracy_fused"], -record["val_loss"])
    assert set(record) == {"val_accuracy_audio", "val_accuracy_visual", "val_accuracy_fused", "val_loss"}
    assert stage.state_dict()["history"]["audio"] == [record["val_accuracy_audio"]]
    again = classification_stage(accelerator, method="mslr")
    again.load_state_dict(stage.state_dict())
    assert again.balance.history == stage.balance.history
