"""What every network puts out."""

import torch

from iemf.logits import FUSED, Logits


def test_the_fused_logits_are_the_last_by_name():
    audio, visual, fused = torch.zeros(1, 2), torch.ones(1, 2), torch.full((1, 2), 2.0)
    named = Logits({"visual": visual, "audio": audio}, fused).named()
    assert list(named) == ["visual", "audio", FUSED] == ["visual", "audio", "fused"]
    assert named["fused"] is fused
    assert named["audio"] is audio
