"""One task in the loop: what a step sees, what ξ is computed from and what it touches."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from iemf.continual.methods import AVCIL, SSIL, LwF
from iemf.errors import UserError
from iemf.modulation import Effect, InverseEffectiveness
from iemf.training import Window
from tests.iemf.small import blobs, learner


def task_of(run, task):
    """The stage of a task, its network grown and with a teacher."""
    run.network.grow(run.data.tasks[task].stop)
    teacher = copy.deepcopy(run.network).eval().requires_grad_(False) if task else None
    return run.stage(task, teacher)


def test_exemplars_in_a_step_have_a_size_of_their_own(tmp_path, accelerator):
    stage = task_of(learner(tmp_path, accelerator, SSIL(), exemplar_batch=3), 2)
    sizes = [(current, len(batch.label) - current) for current, batch in stage.batches(0)]
    assert sizes == [(6, 3), (6, 3), (6, 3), (2, 3)]
    assert stage.steps == 4
    for current, batch in stage.batches(0):
        assert set(batch.label[:current].tolist()) <= {4, 5}
        assert set(batch.label[current:].tolist()) <= {0, 1, 2, 3}
        assert batch.audio.dtype == batch.visual.dtype == torch.float32


def test_the_order_is_the_seeds_the_tasks_and_the_epochs_alone(tmp_path, accelerator):
    run = learner(tmp_path, accelerator)
    stage = task_of(run, 1)
    first = stage.parts(0)
    torch.rand(3)
    assert task_of(learner(tmp_path, accelerator), 1).parts(0) == first
    assert stage.parts(1) != first
    assert sorted(row for rows, _ in first for row in rows) == run.data.train.rows_of(range(2, 4))
    assert task_of(learner(tmp_path, accelerator, seed=1), 1).parts(0) != first


def test_the_first_task_has_no_exemplars_and_no_teacher(tmp_path, accelerator):
    stage = task_of(learner(tmp_path, accelerator), 0)
    batch = next(iter(stage.batches(0)))
    assert batch[0] == len(batch[1].label) == 6
    outcome = stage.loss(stage.module, batch, 0)
    named = stage.module(batch[1].audio, batch[1].visual).logits.named()
    torch.testing.assert_close(outcome.loss, sum(F.cross_entropy(each, batch[1].label) for each in named.values()))


@pytest.mark.parametrize("method", [SSIL, LwF, AVCIL])
def test_the_loss_is_the_sum_of_its_parts(tmp_path, accelerator, method):
    stage = task_of(learner(tmp_path, accelerator, method()), 1)
    current, batch = next(iter(stage.batches(0)))
    stage.module.eval()
    outcome = stage.loss(stage.module, (current, batch), 0)
    parts = {name.removeprefix("loss_"): total / outcome.samples for name, total in outcome.totals.items()
             if name.startswith("loss")}  # fmt: skip
    assert set(parts) == {"loss", "fused", "audio", "visual"}
    further = parts.pop("loss") - sum(parts.values())
    assert (further > 1e-3) == (method is AVCIL)
    assert outcome.samples == len(batch.label)


def test_heads_have_a_loss_in_their_window_alone(tmp_path, accelerator):
    stage = task_of(learner(tmp_path, accelerator, head_window=Window(1, 1)), 1)
    batch = next(iter(stage.batches(0)))
    stage.module.eval()
    outcomes = [stage.loss(stage.module, batch, epoch) for epoch in (0, 1, 2)]
    for name in ("audio", "visual"):
        assert [bool(outcome.totals[f"loss_{name}"] > 0) for outcome in outcomes] == [False, True, False]
    torch.testing.assert_close(outcomes[0].totals["loss_fused"], outcomes[1].totals["loss_fused"])
    assert outcomes[0].loss < outcomes[1].loss


def test_evidence_is_of_the_tasks_own_samples_and_classes(tmp_path, accelerator):
    stage = task_of(learner(tmp_path, accelerator), 1)
    current, batch = next(iter(stage.batches(0)))
    stage.module.eval()
    logits, labels = stage.loss(stage.module, (current, batch), 0).evidence
    whole = stage.module(batch.audio, batch.visual).logits
    assert torch.equal(labels, batch.label[:current] - 2)
    assert list(logits.unimodal) == ["audio", "visual"]
    for name, each in logits.named().items():
        torch.testing.assert_close(each, whole.named()[name][:current, 2:4])


def test_xi_touches_the_classifier_alone(tmp_path, accelerator):
    """ξ = 0 in effect: the classifier's update vanishes, every other parameter moves as without."""

    class Nothing(InverseEffectiveness):
        def measure(self, unimodal, fused, labels):
            return Effect(fused.new_zeros(()), *super().measure(unimodal, fused, labels)[1:])

    runs = []
    for modulation in (None, lambda n, *_: Nothing(n.classifier.parameters())):
        run = learner(tmp_path / str(len(runs)), accelerator, LwF(), modulation, epochs=1, batch_size=60,
                      data=blobs(tasks=1))  # fmt: skip
        before = {k: v.clone() for k, v in run.network.state_dict().items()}
        run.fit()
        runs.append((before, run.network.state_dict()))
    (before, plain), (_, stopped) = runs
    for name in before:
        if name.startswith("classifier"):
            assert torch.equal(stopped[name], before[name])
            assert not torch.equal(plain[name], before[name])
        else:
            assert torch.equal(stopped[name], plain[name]), name


def test_scores_are_of_the_tasks_own_samples_and_classes(tmp_path, accelerator):
    seen = []

    class Listening(InverseEffectiveness):
        def measure(self, unimodal, fused, labels):
            seen.append((len(unimodal), fused.shape, labels.min().item(), labels.max().item()))
            return super().measure(unimodal, fused, labels)

    learner(tmp_path, accelerator, SSIL(), lambda n, *_: Listening(n.classifier.parameters()), epochs=1).fit()
    assert {shape[1] for _, shape, *_ in seen} == {2}  # two new classes in every task
    assert {shape[0] for _, shape, *_ in seen} == {6, 2}  # 20 samples in batches of 6; exemplars are not among them
    assert {(low, high) for _, _, low, high in seen} <= {(0, 1), (0, 0), (1, 1)}
    assert {count for count, *_ in seen} == {2}


def test_accuracies_are_over_all_samples_and_classes_seen(tmp_path, accelerator):
    run = learner(tmp_path, accelerator, batch_size=3)
    stage = task_of(run, 1)
    right, loss = stage.accuracies("val", run.data.tasks[:2])
    rows = run.data.val.rows_of(range(4))
    batch = run.data.val.__getitems__(rows)
    with torch.no_grad():
        logits = stage.module(batch.audio.float(), batch.visual.float()).logits
    for name, each in logits.named().items():
        assert right[name] == pytest.approx(100 * (each.argmax(1) == batch.label).double().mean().item())
    assert loss == pytest.approx(F.cross_entropy(logits.fused, batch.label).item(), rel=1e-5)
    rank, record = stage.validate(0)
    assert rank == (right["fused"], -loss)
    assert record == {f"val_accuracy_{name}": value for name, value in right.items()} | {"val_loss": loss}


def test_a_test_loss_that_is_not_finite_is_divergence_if_the_features_are_well(tmp_path, accelerator):
    run = learner(tmp_path, accelerator)
    stage = task_of(run, 0)
    with torch.no_grad():
        run.network.classifier.bias[0] = math.inf
    with pytest.raises(UserError, match=r"training diverged: the loss on test is .*lower `lr`"):
        stage.accuracies("test", run.data.tasks[:1])
    stage.explain()  # nothing to say
