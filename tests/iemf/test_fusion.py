"""Fusion layers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iemf.fusion import FUSIONS, ConcatFusion, FiLMFusion, GatedFusion, SumFusion


@pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS)
@given(batch=st.integers(1, 6), features=st.integers(1, 9), classes=st.integers(2, 5))
def test_every_fusion_depends_on_both_modalities(fusion, batch, features, classes):
    torch.manual_seed(0)
    layer = fusion(features, classes)
    audio, visual = torch.randn(batch, features, requires_grad=True), torch.randn(batch, features, requires_grad=True)
    logits = layer(audio, visual)
    assert logits.shape == (batch, classes)
    logits.square().sum().backward()
    assert audio.grad.abs().sum() > 0
    assert visual.grad.abs().sum() > 0


@pytest.mark.parametrize("fusion", [ConcatFusion, SumFusion])
def test_contributions_add_up_to_the_logits(fusion):
    layer, audio, visual = fusion(4, 3), torch.randn(5, 4), torch.randn(5, 4)
    torch.testing.assert_close(sum(layer.contributions(audio, visual)), layer(audio, visual))


def test_concat_by_hand():
    layer = ConcatFusion(1, 2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        layer.linear.bias.copy_(torch.tensor([0.5, -0.5]))
    audio, visual = torch.tensor([[10.0]]), torch.tensor([[100.0]])
    assert layer(audio, visual).tolist() == [[210.5, 429.5]]
    assert [part.tolist() for part in layer.contributions(audio, visual)] == [[[10.25, 29.75]], [[200.25, 399.75]]]


def test_film_by_hand():
    layer = FiLMFusion(1, 2)
    with torch.no_grad():
        layer.condition.weight.copy_(torch.tensor([[2.0], [5.0]]))  # gain 2·z_a, shift 5·z_a
        layer.condition.bias.zero_()
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        layer.linear.bias.zero_()
    assert layer(torch.tensor([[3.0]]), torch.tensor([[7.0]])).tolist() == [[57.0, -57.0]]  # 6·7 + 15


def test_gated_by_hand():
    layer = GatedFusion(1, 2)
    with torch.no_grad():
        layer.audio.weight.fill_(1.0)
        layer.audio.bias.zero_()
        layer.visual.weight.fill_(2.0)
        layer.visual.bias.zero_()
        layer.linear.weight.copy_(torch.tensor([[1.0], [3.0]]))
        layer.linear.bias.zero_()
    assert layer(torch.tensor([[0.0]]), torch.tensor([[4.0]])).tolist() == [[4.0, 12.0]]  # σ(0)·8
