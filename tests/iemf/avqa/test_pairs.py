"""Pairs that do not belong together, and the loss that tells them from those that do."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.pairs import MatchLogits, draw_others, match_loss


@given(st.integers(2, 5), st.integers(1, 4), st.integers(0, 50))
def test_no_pair_is_of_one_video(videos, seconds, seed):
    own = torch.arange(24).view(6, 4) % videos
    others = draw_others(own, videos, seconds, torch.Generator().manual_seed(seed))
    assert others.video.shape == others.second.shape == (6, 4)
    assert (others.video != own).all()
    assert others.video.min() >= 0
    assert others.video.max() < videos
    assert others.second.min() >= 0
    assert others.second.max() < seconds


def test_every_frame_of_every_other_video_is_as_likely():
    """Beside video 1 of 4 with 5 seconds each: 15 frames, 30000 draws, so 2000 ± 45 of each."""
    others = draw_others(torch.ones(30000, dtype=torch.int64), 4, 5, torch.Generator().manual_seed(0))
    counts = torch.zeros(4, 5)
    counts.index_put_((others.video, others.second), torch.ones(30000), accumulate=True)
    assert not counts[1].any()
    assert (counts[[0, 2, 3]] - 2000).abs().max() < 5 * 45


def test_a_sound_meets_both_pictures():
    torch.manual_seed(0)
    match = MatchNetwork(5, 6, 8)
    sound, maps, wrong = torch.randn(2, 3, 5), torch.randn(2, 3, 6, 2, 2), torch.randn(2, 3, 6, 2, 2)
    logits = match(sound, maps, wrong)
    for found, pictures in zip(logits, (maps, wrong), strict=True):
        one = [[match.matches(match.grounded(match.hear(sound[b, t]), match.places(pictures[b, t]))) for t in range(3)]
               for b in range(2)]  # fmt: skip
        torch.testing.assert_close(found, torch.stack([torch.stack(row) for row in one]))


def test_the_match_loss_is_cross_entropy_over_interleaved_pairs():
    """As Li et al. order them: right, wrong, right, wrong."""
    right, wrong = (
        torch.tensor([[0.0, 2.0], [0.0, 0.0], [3.0, 1.0]]),
        torch.tensor([[1.0, 0.0], [9.0, -9.0], [0.0, 4.0]]),
    )
    interleaved = torch.stack([right, wrong], dim=1).flatten(0, 1)
    expected = F.cross_entropy(interleaved, torch.tensor([1, 0] * 3))
    torch.testing.assert_close(match_loss(MatchLogits(right, wrong)), expected)
