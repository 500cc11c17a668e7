"""Stage 1 over the first seconds of real videos: its items, its batches, and who draws what."""

import numpy as np
import pytest
import torch

from iemf.avqa.data import ArrayFeatures, AVQASplit
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.match import MatchStage, Moments
from iemf.avqa.pairs import draw_others
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import GroundedAnswerStage
from iemf.errors import UserError
from tests.iemf.small import avqa_network, processes, questions

SECONDS = 12


def split(videos=4, synthetic=(), asked=None):
    """Features that say whose they are: 100 video + second; video 1 has three questions."""
    data = questions(count=videos + 2, videos=videos)
    told = (100 * np.arange(videos)[:, None] + np.arange(SECONDS)).astype(np.float32)
    features = ArrayFeatures(told[..., None] * np.ones(5, np.float32),
                             told[..., None, None, None] * np.ones((6, 2, 2), np.float32))  # fmt: skip
    number_of = {f"v{number}": number for number in range(videos)}
    asked = data.train.questions if asked is None else asked
    return AVQASplit(asked, data.vocabulary, features, number_of, synthetic=synthetic)


def stage_of(of, accelerator, batch_size=7, seed=0):
    torch.manual_seed(0)
    return MatchStage(MatchNetwork(5, 6, 8), of, of, batch_size, seed, accelerator)


def items(batches):
    """(sound, own picture, other picture) of every item, by the number that its features bear."""
    return [
        (a[0].item(), v[0, 0, 0].item(), w[0, 0, 0].item()) for batch in batches for a, v, w in zip(*batch, strict=True)
    ]


def test_items_are_the_first_ten_seconds_of_every_video_once(accelerator):
    stage = stage_of(split(), accelerator)
    assert stage.steps == 6  # 40 items, however many questions are asked
    batches = list(stage.batches(0))
    assert [len(batch.audio) for batch in batches] == [7] * 5 + [5]
    found = items(batches)
    assert sorted(sound for sound, _, _ in found) == [
        100 * video + second for video in range(4) for second in range(10)
    ]
    for sound, own, other in found:
        assert own == sound
        assert other // 100 != sound // 100
        assert other % 100 < 10
    assert len({other % 100 for _, _, other in found}) > 5  # any second, not the same


def test_synthetic_videos_are_left_out(accelerator):
    of = split(synthetic=("v1", "elsewhere"))
    found = items(stage_of(of, accelerator).batches(0))
    assert {sound // 100 for sound, _, _ in found} == {other // 100 for _, _, other in found} == {0, 2, 3}
    assert of.blinded(["audio"]).real.tolist() == of.real.tolist() == [0, 2, 3]


def test_one_video_has_no_other(accelerator):
    alone = split(asked=[each for each in split().questions if each.video == "v1"])
    with pytest.raises(UserError, match=r"a split of 2 questions about 1 video\(s\) has 1 real ones"):
        Moments(alone)
    with pytest.raises(UserError, match="takes two; use `models` baseline"):
        GroundedAnswerStage(avqa_network(STAVQA), alone, alone, 4, 0, accelerator)
    with pytest.raises(UserError, match="has 1 real ones"):
        Moments(split(synthetic=("v0", "v2", "v3")))


def test_pairs_are_the_seeds_and_the_epochs_whatever_the_number_of_processes(accelerator):
    stage = stage_of(split(), accelerator)
    whole = items(stage.batches(1))
    assert items(stage.batches(1)) == whole
    assert items(stage.batches(0)) != whole
    assert items(stage_of(split(), accelerator, seed=1).batches(1)) != whole
    shares = []
    for rank in range(2):
        stage.accelerator = processes(2, rank)
        shares += items(stage.batches(1))
    assert sorted(shares) == sorted(whole)


def frames_of_others(stage, epoch):
    """{place of a question in the split: what its wrong pictures bear}; the questions differ by their words."""
    return [(batch.video[row].item(), batch.wrong[row, :, 0, 0, 0].tolist())
            for batch in stage.batches(epoch) for row in range(len(batch.answer))]  # fmt: skip


def test_stage_2_draws_any_second_of_any_other_video_of_the_split_for_every_time(accelerator):
    of = split(videos=5)
    stage = GroundedAnswerStage(avqa_network(STAVQA), of, of, 2, 0, accelerator)
    found = frames_of_others(stage, 0)
    assert len(found) == 7
    for video, told in found:
        assert len(told) == SECONDS
        assert all(number // 100 != video for number in told)
    assert {number // 100 for _, told in found for number in told} == set(range(5))  # not those of its batch of two
    assert len({number % 100 for _, told in found for number in told}) > 10
    assert frames_of_others(stage, 1) != found
    shares = []
    for rank in range(2):
        stage.accelerator = processes(2, rank)
        shares += frames_of_others(stage, 0)
    assert sorted(shares) == sorted(found)


def test_a_network_that_knows_no_picture_is_right_by_half(accelerator):
    """Logits that say "belongs" of everything."""
    stage = stage_of(split(), accelerator)
    with torch.no_grad():
        stage.module.match[-1].weight.zero_()
        stage.module.match[-1].bias.copy_(torch.tensor([0.0, 1.0]))
    (right, less), record = stage.validate(0)
    assert right == record["val_match_accuracy"] == 50.0
    expected = (np.log1p(np.exp(-1)) + np.log1p(np.exp(1))) / 2
    assert record["val_loss"] == -less == pytest.approx(expected)


def test_validation_pairs_do_not_depend_on_batches(accelerator):
    whole = stage_of(split(), accelerator, batch_size=40)
    for size in (1, 7, 13):
        part = stage_of(split(), accelerator, batch_size=size)
        assert part.validate(3)[1] == pytest.approx(whole.validate(0)[1], rel=1e-5)


def test_there_are_as_many_seconds_as_there_are():
    data = questions(videos=3).train  # of four
    moments = Moments(data)
    assert len(moments) == 12
    batch = moments.read([5], draw_others(torch.zeros(12, dtype=torch.int64), 3, 4, torch.Generator()))
    assert torch.equal(batch.audio[0], torch.from_numpy(data.features.audio[1, 1]))
