"""The network of one modality."""

import torch
from torch import nn

from iemf.unimodal import UnimodalNetwork


def doubled(x):
    return 2 * x.flatten(1).sum(1, keepdim=True)


class Doubled(nn.Module):
    """[B, 1, H, W] -> [B, 1]: twice the sum."""

    forward = staticmethod(doubled)


def network(modality):
    made = UnimodalNetwork(modality, Doubled(), nn.Linear(1, 2))
    made.head.weight.data, made.head.bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([0.5, 0.0])
    return made


def test_logits_by_hand_and_the_other_modality_is_not_looked_at():
    audio, visual = torch.ones(1, 1, 2, 2), torch.full((1, 1, 1, 3), 5.0)
    for other in (visual, visual + torch.inf):
        output = network("audio")(audio, other)
        assert output.logits.fused.tolist() == [[8.5, -8.0]]
        assert output.features["audio"].tolist() == [[8.0]]
        assert list(output.logits.named()) == ["audio", "fused"]
    assert network("visual")(audio, visual).logits.unimodal["visual"].tolist() == [[30.5, -30.0]]


def test_frames_are_encoded_one_by_one_and_averaged():
    frames = torch.stack([torch.ones(1, 1, 1, 2), torch.full((1, 1, 1, 2), 3.0)], dim=1)
    assert network("visual")(torch.zeros(1, 1, 1, 1), frames).features["visual"].tolist() == [[8.0]]  # of 4 and 12


def test_it_has_one_encoder_and_its_head():
    made = network("audio")
    assert (made.encoders, made.heads) == ({"audio": made.encoder}, {"audio": made.head})
    assert sum(p.numel() for p in made.parameters()) == 4
