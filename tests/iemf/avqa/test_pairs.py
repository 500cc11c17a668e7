"""Pairs that do not belong together, and the loss that tells them from those that do."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.pairs import MatchLogits, draw_others, match_loss


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
    heard, places = match.hear(sound), match.places(maps)
    others = draw_others(torch.tensor([4, 9]), 3, torch.Generator().manual_seed(0))
    expected = match.matches(match.grounded(heard, match.places(maps[[1, 0]])))
    torch.testing.assert_close(match.mismatched(heard, places, others), expected)
    logits = match(sound, maps, others)
    torch.testing.assert_close(logits, MatchLogits(match.matches(match.grounded(heard, places)), expected))


def test_the_match_loss_by_hand():
    right = torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]])
    wrong = torch.tensor([[[1.0, 0.0]], [[9.0, -9.0]]])
    ce = lambda logits, kind: F.cross_entropy(torch.tensor([logits]), torch.tensor([kind]))  # noqa: E731
    logits, mean_right = MatchLogits(right, wrong), (ce([0.0, 2.0], 1) + ce([0.0, 0.0], 1)) / 2
    both = match_loss(logits, torch.tensor([True, True]))
    torch.testing.assert_close(both, (mean_right + (ce([1.0, 0.0], 0) + ce([9.0, -9.0], 0)) / 2) / 2)
    one = match_loss(logits, torch.tensor([True, False]))
    torch.testing.assert_close(one, (mean_right + ce([1.0, 0.0], 0)) / 2)
    none = match_loss(logits, torch.tensor([False, False]))
    torch.testing.assert_close(none, mean_right / 2)
