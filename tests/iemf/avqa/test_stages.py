"""Both stages of question answering: their losses, what ξ touches, what is predicted, and that they learn."""

import copy

import pytest
import torch
import torch.nn.functional as F

from iemf.avqa.baseline import Baseline
from iemf.avqa.data import AVQASplit
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.match import MatchBatch, MatchStage
from iemf.avqa.pairs import MatchLogits, match_loss
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import MATCH_WEIGHT, AnswerStage, GroundedAnswerStage, PairedBatch, predict
from iemf.factory import make_modulation
from iemf.training import Trainer, TrainingOptions, checkpoint
from iemf.training.step import Step
from tests.iemf.small import avqa_network, folder_of, questions

MODELS = [Baseline, STAVQA]
STAGES = {MatchNetwork: MatchStage, Baseline: AnswerStage, STAVQA: GroundedAnswerStage}


def match_network(width=8):
    torch.manual_seed(0)
    return MatchNetwork(5, 6, width)


def make_stage(model, accelerator, data=None, batch_size=4, seed=0, module=None):
    """Of one of the three networks; what a run trains it with."""
    data = data or questions()
    if module is None:
        module = match_network() if model is MatchNetwork else avqa_network(model)
    return STAGES[model](module, data.train, data.val, batch_size, seed, accelerator)


def batch_of(model, data, rows=(0, 1, 2)):
    """Some questions in float32, with wrong pictures for a model that is told of them."""
    batch = data.train.__getitems__(list(rows))
    batch = batch._replace(audio=batch.audio.float(), visual=batch.visual.float())
    wrong = torch.randn(batch.visual.shape, generator=torch.Generator().manual_seed(5))
    return PairedBatch(*batch, wrong) if model is STAVQA else batch


# ---- batches


@pytest.mark.parametrize("model", MODELS)
def test_an_epoch_has_every_question_once_with_pairs_where_they_are_learnt(accelerator, model):
    data = questions()
    stage = make_stage(model, accelerator, data, batch_size=9)
    batches = list(stage.batches(0))
    assert [len(batch.answer) for batch in batches] == [9, 9, 6]
    assert stage.steps == 3
    videos = torch.cat([batch.video for batch in batches])
    assert sorted(videos.tolist()) == sorted(data.train.videos.tolist())
    assert videos.tolist() != data.train.videos.tolist()
    for batch in batches:
        assert batch.audio.dtype == batch.visual.dtype == torch.float32
        assert hasattr(batch, "wrong") == (model is STAVQA)
        if model is STAVQA:
            assert batch.wrong.shape == batch.visual.shape
            assert batch.wrong.dtype == torch.float32


def drawn(stage, epoch):
    return [(batch.video.tolist(), batch.answer.tolist(), batch.wrong.tolist()) for batch in stage.batches(epoch)]


def test_order_and_pairs_are_the_seeds_and_the_epochs_alone(accelerator):
    first = drawn(make_stage(STAVQA, accelerator), 1)
    torch.rand(3)
    again = make_stage(STAVQA, accelerator)
    drawn(again, 0)
    assert drawn(again, 1) == first
    assert drawn(again, 0) != first
    assert drawn(make_stage(STAVQA, accelerator, seed=1), 1) != first


# ---- losses


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_the_loss_is_the_sum_of_its_parts(accelerator, model, joint):
    data = questions()
    torch.manual_seed(0)
    module = model(5, 6, 3, 2, 8, train_encoders_by_heads=joint).eval()
    stage = make_stage(model, accelerator, data, module=module)
    batch = batch_of(model, data)
    outcome = stage.loss(module, batch, 0)
    answered = module(batch.audio, batch.visual, batch.words).logits
    parts = {f"loss_{name}": F.cross_entropy(logits, batch.answer) for name, logits in answered.named().items()}
    assert set(parts) == {"loss_audio", "loss_visual", "loss_fused"}
    if model is STAVQA:
        match, heard = module.grounding, module.grounding.hear(batch.audio)
        right, wrong = (
            match.matches(match.grounded(heard, match.places(each))) for each in (batch.visual, batch.wrong)
        )
        parts["loss_match"] = MATCH_WEIGHT * match_loss(MatchLogits(right, wrong))
    assert MATCH_WEIGHT == 0.5
    torch.testing.assert_close(outcome.loss, sum(parts.values()))
    assert outcome.samples == 3
    right = {f"correct_{name}": (each.argmax(1) == batch.answer).sum() for name, each in answered.named().items()}
    expected = {name: 3 * loss for name, loss in {"loss": outcome.loss, **parts}.items()} | right
    torch.testing.assert_close(outcome.totals, {name: total.detach() for name, total in expected.items()})


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_heads_always_learn_and_the_encoders_from_them_in_joint_learning_alone(accelerator, model, joint):
    """Vanilla: what is not a head has the gradient of the fused answer (and the match), as if there were no heads."""
    data = questions()
    torch.manual_seed(0)
    module = model(5, 6, 3, 2, 8, train_encoders_by_heads=joint).eval()
    stage, batch = make_stage(model, accelerator, data, module=module), batch_of(model, data)
    parameters = dict(module.named_parameters())
    outcome = stage.loss(module, batch, 0)
    whole = dict(zip(parameters, torch.autograd.grad(outcome.loss, parameters.values()), strict=True))
    output, further = stage.answered(module, batch)
    alone = F.cross_entropy(output.logits.fused, batch.answer) + sum(further.values())
    given = torch.autograd.grad(alone, parameters.values(), allow_unused=True)
    differ = {name for name, gradient in zip(parameters, given, strict=True)
              if gradient is None or not torch.allclose(gradient, whole[name], rtol=1e-4, atol=1e-7)}  # fmt: skip
    heads = {name for name in parameters if name.startswith("answer.head_")}
    assert len(heads) == 4
    assert all(whole[name].abs().sum() > 0 for name in heads)
    assert differ >= heads
    assert (differ == heads) == (not joint)


def test_the_match_stages_loss_is_of_both_kinds_of_pair(accelerator):
    stage = make_stage(MatchNetwork, accelerator)
    batch = MatchBatch(*(part.float() for part in stage.moments.read([0, 5, 9], stage.moments.draw(torch.Generator()))))
    outcome = stage.loss(stage.module, batch, 0)
    expected = match_loss(stage.module(*batch))
    torch.testing.assert_close(outcome.loss, expected)
    torch.testing.assert_close(outcome.totals, {"loss": 3 * expected.detach()})
    assert outcome.samples == 3
    assert outcome.evidence is None  # there is no fusion to modulate


# ---- ξ


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scale", ["gradient", "step"])
def test_xi_touches_fc_fusion_alone(accelerator, model, scale):
    """One step with and without ξ from the same weights: all but fc_fusion end the same, and that by the factor ξ."""
    data = questions()
    ended, begun, xi = {}, None, None
    for modulated in (False, True):
        module = avqa_network(model).eval()
        begun = copy.deepcopy(module.state_dict())
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        effect = make_modulation(module.answer.fc_fusion.parameters(), optimizer, scale=scale) if modulated else None
        stage = make_stage(model, accelerator, data, module=module)
        totals = Step(stage, module, optimizer, accelerator, effect)(batch_of(model, data), 0)
        assert ("xi" in totals) == modulated
        xi = totals.get("xi")
        ended[modulated] = module.state_dict()
    assert abs(float(xi) - 1) > 1e-3
    for name, before in begun.items():
        plain, scaled = ended[False][name] - before, ended[True][name] - before
        factor = xi if name.startswith("answer.fc_fusion.") else 1.0
        torch.testing.assert_close(scaled, factor * plain, rtol=1e-3, atol=1e-6)
    assert not torch.equal(ended[False]["answer.fc_fusion.weight"], ended[True]["answer.fc_fusion.weight"])


@pytest.mark.parametrize("model", MODELS)
def test_xi_is_of_the_heads_and_the_fusion(accelerator, model):
    data = questions()
    module = avqa_network(model).eval()
    batch = batch_of(model, data)
    answered = module(batch.audio, batch.visual, batch.words).logits
    probability = {name: logits.softmax(1).gather(1, batch.answer[:, None]).mean()
                   for name, logits in answered.named().items()}  # fmt: skip
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    effect = make_modulation(module.answer.fc_fusion.parameters(), optimizer)
    stage = make_stage(model, accelerator, data, module=module)
    totals = Step(stage, module, optimizer, accelerator, effect)(batch, 0)
    torch.testing.assert_close(totals["s_fused"], probability["fused"])
    torch.testing.assert_close(totals["s_unimodal"], (probability["audio"] + probability["visual"]) / 2)


# ---- what is predicted and validated


@pytest.mark.parametrize("model", MODELS)
def test_predictions_do_not_depend_on_batches_or_order(accelerator, model):
    split, module = questions().test, avqa_network(model)
    told = predict(module, split, 24, accelerator)
    assert set(told) == {"audio", "visual", "fused"}
    assert all(numbers.shape == (24,) for numbers in told.values())
    for size in (1, 5, 7):
        for name, numbers in predict(module, split, size, accelerator).items():
            assert torch.equal(numbers, told[name]), name
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1)).tolist()
    for name, numbers in predict(module, split, 5, accelerator, order).items():
        assert torch.equal(numbers, told[name][order]), name
    batch = split.__getitems__(list(range(24)))
    with torch.no_grad():
        answered = module.eval()(batch.audio.float(), batch.visual.float(), batch.words).logits
    for name, logits in answered.named().items():
        assert torch.equal(told[name], logits.argmax(1)), name


@pytest.mark.parametrize("model", STAGES)
def test_validation_does_not_depend_on_batches_or_the_epoch(accelerator, model):
    stage = make_stage(model, accelerator)
    rank, record = stage.validate(0)
    assert stage.validate(3) == (rank, record)
    assert not stage.module.training
    names = (
        {"val_match_accuracy"} if model is MatchNetwork else {f"val_accuracy_{n}" for n in ("audio", "visual", "fused")}
    )
    assert set(record) == names | {"val_loss"}
    assert rank == (
        record["val_match_accuracy" if model is MatchNetwork else "val_accuracy_fused"],
        -record["val_loss"],
    )
    whole = make_stage(model, accelerator, batch_size=24, module=stage.module).validate(0)[1]
    odd = make_stage(model, accelerator, batch_size=7, module=stage.module).validate(0)[1]
    assert whole == pytest.approx(odd, rel=1e-5)


def test_validation_by_hand(accelerator):
    data, module = questions(), avqa_network(Baseline).eval()
    rank, record = make_stage(Baseline, accelerator, data, batch_size=5, module=module).validate(0)
    batch = data.val.__getitems__(list(range(24)))
    with torch.no_grad():
        answered = module(batch.audio.float(), batch.visual.float(), batch.words).logits
    loss = F.cross_entropy(answered.fused, batch.answer).item()
    right = {f"val_accuracy_{name}": 100 * (each.argmax(1) == batch.answer).double().mean().item()
             for name, each in answered.named().items()}  # fmt: skip
    assert record == pytest.approx(right | {"val_loss": loss})
    assert rank == pytest.approx((right["val_accuracy_fused"], -loss))


def test_a_blind_model_sees_zeros():
    data = questions().blinded(["visual"])
    batch = data.test.__getitems__([0, 1])
    assert not batch.visual.any()
    assert batch.audio.any()
    assert data.visual_size == 6


def test_unknown_answers_are_counted_and_wrong(accelerator):
    data = questions()
    asked = [data.test.questions[0]._replace(answer="never"), data.test.questions[1]]
    split = AVQASplit(asked, data.vocabulary, data.test.features, data.test.video_of)
    assert split.unknown == 1
    for answer in (0, 1):
        module = avqa_network(Baseline)
        with torch.no_grad():
            module.answer.fc_answer.weight.zero_()
            module.answer.fc_answer.bias.copy_(F.one_hot(torch.tensor(answer), 2).float())
        _, record = AnswerStage(module, split, split, 4, 0, accelerator).validate(0)
        right = data.vocabulary.answers[answer] == asked[1].answer
        assert record["val_accuracy_fused"] == 50.0 * right


@pytest.mark.parametrize("model", STAGES)
def test_a_stage_learns(tmp_path, accelerator, model):
    data = questions()
    # Easy pairs to tell apart: picture and sound of a video begin with the same numbers.
    data.train.features.visual[:, :, :5] = 3 * data.train.features.audio[..., None, None]
    module = match_network(16) if model is MatchNetwork else avqa_network(model, width=16)
    stage = STAGES[model](module, data.train, data.val, 4, 0, accelerator)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    options = TrainingOptions(60 if model is MatchNetwork else 5, 0, progress=False)
    history = Trainer(stage, optimizer, options, folder_of(tmp_path), accelerator).fit()
    measured = "val_match_accuracy" if model is MatchNetwork else "val_accuracy_fused"
    assert max(record[measured] for record in history) > 90


@pytest.mark.parametrize("model", STAGES)
def test_killed_in_its_second_epoch_a_stage_goes_on_there_and_ends_the_same(tmp_path, accelerator, monkeypatch, model):
    """Order and pairs are drawn from the epoch alone, so none of their states has to come back."""

    def trainer(name):
        stage = make_stage(model, accelerator, batch_size=9)
        optimizer = torch.optim.Adam(stage.module.parameters(), lr=5e-3)
        effect = None
        if model is not MatchNetwork:
            effect = make_modulation(stage.module.answer.fc_fusion.parameters(), optimizer)
        options = TrainingOptions(3, 0, progress=False)
        return Trainer(stage, optimizer, options, folder_of(tmp_path / name), accelerator, modulation=effect)

    def timeless(history):
        return [{name: value for name, value in record.items() if name != "seconds"} for record in history]

    whole = trainer("whole")
    expected = whole.fit()
    step, taken = Step.__call__, []

    def listen(self, batch, epoch):
        taken.append(epoch)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return step(self, batch, epoch)

    monkeypatch.setattr(Step, "__call__", listen)
    with pytest.raises(KeyboardInterrupt):
        trainer("part").fit()
    resumed = trainer("part")
    torch.rand(5)  # whatever was drawn meanwhile
    assert timeless(resumed.fit(resume=True)) == timeless(expected)
    assert taken == [0, 0, 0, 1, 1] + [1] * 3 + [2] * 3
    assert timeless(resumed.folder.metrics()) == timeless(expected)
    assert resumed.best == whole.best
    last = [checkpoint.load(run.folder.last_checkpoint)["network"] for run in (whole, resumed)]
    for ours, theirs in ((whole.stage.module.state_dict(), resumed.stage.module.state_dict()), last):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert torch.equal(theirs[name], value), name
