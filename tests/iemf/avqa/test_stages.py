"""Pairs, both stages, and what ξ touches."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.avqa import vocabulary
from iemf.avqa.baseline import Baseline
from iemf.avqa.data import ArrayFeatures, AVQAData, AVQASplit
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.pairs import draw_others, match_loss, mismatch
from iemf.avqa.questions import Question
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import MATCH_WEIGHT, AnswerStage, MatchStage, predict
from iemf.avqa.trainer import AVQAOptions, AVQATrainer
from iemf.balance import InverseEffectiveness
from iemf.training import RunFolder

KIND = ("Audio-Visual", "Existential")


def data(count=24, videos=6):
    """Is what is heard seen? Two questions about each of a few videos, answered by their first numbers."""
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(videos, 4, 5)).astype(np.float16)
    visual = rng.normal(size=(videos, 4, 6, 2, 2)).astype(np.float16)
    number_of = {f"v{number}": number for number in range(videos)}
    questions = [
        Question(number, f"v{number % videos}", KIND, ("Is", "it"), "yes" if audio[number % videos, 0, 0] > 0 else "no")
        for number in range(count)
    ]
    words = vocabulary.build(questions)
    split = AVQASplit(questions, words, ArrayFeatures(audio, visual), number_of)
    return AVQAData("blobs", words, split, split, split)


def network(model, seed=0):
    torch.manual_seed(seed)
    return model(5, 6, 3, 2, 8)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 50))
def test_no_pair_is_of_one_video(videos, times, seed):
    video = torch.tensor(videos)
    others = draw_others(video, times, torch.Generator().manual_seed(seed))
    assert others.row.shape == (len(videos), times)
    assert others.exists.tolist() == [len(set(videos)) > 1] * len(videos)
    if len(set(videos)) > 1:
        assert (video[others.row] != video[:, None]).all()


def test_every_other_video_is_drawn():
    others = draw_others(torch.tensor([0, 1, 2, 3]), 200, torch.Generator().manual_seed(0))
    assert [set(row.tolist()) for row in others.row] == [{1, 2, 3}, {0, 2, 3}, {0, 1, 3}, {0, 1, 2}]


def test_a_sound_meets_the_others_picture_of_the_same_time():
    torch.manual_seed(0)
    match = MatchNetwork(5, 6, 8)
    sound, maps = torch.randn(2, 3, 5), torch.randn(2, 3, 6, 2, 2)
    audio, places = match.hear(sound), match.places(maps)
    others = draw_others(torch.tensor([4, 9]), 3, torch.Generator().manual_seed(0))
    expected = match.matches(match(audio, match.places(maps[[1, 0]])))
    torch.testing.assert_close(mismatch(match, audio, places, others), expected)


def test_the_match_loss_by_hand():
    right = torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]])
    wrong = torch.tensor([[[1.0, 0.0]], [[9.0, -9.0]]])
    ce = lambda logits, kind: F.cross_entropy(torch.tensor([logits]), torch.tensor([kind]))  # noqa: E731
    mean_right = (ce([0.0, 2.0], 1) + ce([0.0, 0.0], 1)) / 2
    both = match_loss(right, wrong, torch.tensor([True, True]))
    torch.testing.assert_close(both, (mean_right + (ce([1.0, 0.0], 0) + ce([9.0, -9.0], 0)) / 2) / 2)
    one = match_loss(right, wrong, torch.tensor([True, False]))
    torch.testing.assert_close(one, (mean_right + ce([1.0, 0.0], 0)) / 2)
    none = match_loss(right, wrong, torch.tensor([False, False]))
    torch.testing.assert_close(none, mean_right / 2)


def loss_and_batch(model, joint):
    blobs = data()
    stage = AnswerStage(network(model).eval(), blobs.val, 4, joint)
    batch = blobs.train.__getitems__([0, 1, 2])
    batch = batch._replace(audio=batch.audio.float(), visual=batch.visual.float())
    return stage, batch, stage.loss(batch, torch.Generator().manual_seed(5))


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("model", [Baseline, STAVQA])
def test_the_loss_is_the_sum_of_its_parts(model, joint):
    stage, batch, loss = loss_and_batch(model, joint)
    answered = stage.module(batch.audio, batch.visual, batch.words)
    parts = [F.cross_entropy(logits, batch.answer) for logits in (answered if joint else answered[:1])]
    if model is STAVQA:
        match = stage.module.grounding
        audio, places = match.hear(batch.audio), match.places(batch.visual)
        others = draw_others(batch.video, 4, torch.Generator().manual_seed(5))
        right, wrong = match.matches(match(audio, places)), mismatch(match, audio, places, others)
        parts.append(MATCH_WEIGHT * match_loss(right, wrong, others.exists))
    assert MATCH_WEIGHT == 0.5
    torch.testing.assert_close(loss, sum(parts))


@pytest.mark.parametrize("model", [Baseline, STAVQA])
@pytest.mark.parametrize("scale", ["gradient", "step"])
def test_xi_touches_fc_fusion_alone(model, scale):
    """One step with and without ξ from the same weights: all but fc_fusion end the same, and that by the factor ξ."""
    ended, begun, xi = {}, None, None
    for modulated in (False, True):
        module = network(model).eval()
        begun = copy.deepcopy(module.state_dict())
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        effect = InverseEffectiveness(module.answer.fc_fusion.parameters(), scale=scale, optimizer=optimizer)
        blobs = data()
        stage = AnswerStage(module, blobs.val, 4, True, effect if modulated else None)
        batch = blobs.train.__getitems__([0, 1, 2])
        batch = batch._replace(audio=batch.audio.float(), visual=batch.visual.float())
        stage.loss(batch, torch.Generator().manual_seed(5)).backward()
        given_xi = stage.on_gradients()
        assert (given_xi is not None) == modulated
        xi = given_xi if modulated else None
        optimizer.step()
        ended[modulated] = module.state_dict()
    assert abs(float(xi) - 1) > 1e-3
    for name, before in begun.items():
        plain, scaled = ended[False][name] - before, ended[True][name] - before
        factor = xi if name.startswith("answer.fc_fusion.") else 1.0
        torch.testing.assert_close(scaled, factor * plain, rtol=1e-3, atol=1e-6)
    assert not torch.equal(ended[False]["answer.fc_fusion.weight"], ended[True]["answer.fc_fusion.weight"])


def test_xi_is_of_the_heads_and_the_fusion():
    stage, batch, _ = loss_and_batch(Baseline, True)
    stage.modulation = InverseEffectiveness(stage.module.answer.fc_fusion.parameters())
    stage.loss(batch, torch.Generator()).backward()
    stage.on_gradients()
    answered = stage.module(batch.audio, batch.visual, batch.words)
    probability = [logits.softmax(1).gather(1, batch.answer[:, None]).mean() for logits in answered]
    torch.testing.assert_close(stage.modulation.fused, probability[0])
    torch.testing.assert_close(stage.modulation.unimodal, (probability[1] + probability[2]) / 2)


@pytest.mark.parametrize("model", [Baseline, STAVQA])
def test_predictions_do_not_depend_on_batches_or_order(model):
    split, module = data().test, network(model)
    told = predict(module, split, 24)
    for size in (1, 5, 7):
        assert torch.equal(predict(module, split, size), told)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1)).tolist()
    assert torch.equal(predict(module, split, 5, order), told[order])


def test_a_blind_model_sees_zeros():
    blobs = data().blinded(["visual"])
    batch = blobs.test.__getitems__([0, 1])
    assert not batch.visual.any()
    assert batch.audio.any()
    assert blobs.visual_size == 6


def test_unknown_answers_are_counted_and_wrong():
    blobs = data()
    asked = [blobs.test.questions[0]._replace(answer="never"), blobs.test.questions[1]]
    split = AVQASplit(asked, blobs.vocabulary, blobs.test.features, blobs.test.video_of)
    assert split.unknown == 1
    for answer in (0, 1):
        module = network(Baseline)
        with torch.no_grad():
            module.answer.fc_answer.weight.zero_()
            module.answer.fc_answer.bias.copy_(F.one_hot(torch.tensor(answer), 2).float())
        _, record = AnswerStage(module, split, 4).validate()
        right = blobs.vocabulary.answers[answer] == asked[1].answer
        assert record["val_accuracy"] == 50.0 * right


@pytest.mark.parametrize("model", [MatchNetwork, Baseline, STAVQA])
def test_a_stage_learns(tmp_path, model):
    blobs = data()
    # Few pairs to tell apart: picture and sound of a video begin with the same numbers.
    blobs.train.features.visual[:, :, :5] = 3 * blobs.train.features.audio[..., None, None]
    torch.manual_seed(0)
    module = MatchNetwork(5, 6, 16) if model is MatchNetwork else model(5, 6, 3, 2, 16)
    stage = MatchStage(module, blobs.val, 24) if model is MatchNetwork else AnswerStage(module, blobs.val, 24)
    folder = RunFolder(tmp_path)
    folder.start({})
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3)
    history = AVQATrainer(stage, blobs.train, AVQAOptions(60, 8, 0, False), folder, optimizer).fit()
    assert max(list(record.values())[-1] for record in history) > 90
