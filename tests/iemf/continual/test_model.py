"""The network's attention by hand, its growth bit for bit, and the exemplar memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iemf.continual import memory
from iemf.continual.data import equal_tasks
from iemf.continual.model import AudioGuidedAttention, ContinualNetwork, GrowingLinear
from iemf.errors import UserError
from iemf_snn.rate import RateCoded


def test_attention_by_hand():
    """One channel, identity projections of no bias: weights from tanh(V) tanh(a), pooled from the raw V."""
    attention = AudioGuidedAttention(1, 1)
    with torch.no_grad():
        for layer in (attention.visual, attention.audio):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    visual, audio = torch.tensor([[[[1.0], [-1.0]], [[0.5], [0.5]]]]), torch.tensor([[2.0]])
    attended = attention(visual, audio)
    projected, guide = torch.tanh(visual[0, ..., 0]), torch.tanh(audio[0, 0])
    places = (projected * guide).softmax(1)
    times = ((places * projected).sum(1) * guide).softmax(0)
    torch.testing.assert_close(attended.spatial[0, ..., 0].exp(), places)
    torch.testing.assert_close(attended.temporal[0, :, 0].exp(), times)
    expected = ((places * visual[0, ..., 0]).sum(1) * times).sum()
    torch.testing.assert_close(attended.visual[0, 0], expected)


def test_attention_weights_sum_to_one_per_channel():
    torch.manual_seed(0)
    attended = AudioGuidedAttention(5, 3)(torch.randn(2, 4, 6, 5), torch.randn(2, 3))
    torch.testing.assert_close(attended.spatial.exp().sum(2), torch.ones(2, 4, 5))
    torch.testing.assert_close(attended.temporal.exp().sum(1), torch.ones(2, 5))
    assert attended.visual.shape == (2, 5)


@given(st.integers(1, 5), st.integers(0, 5))
def test_a_classifier_grows_and_keeps_its_rows_bit_for_bit(before, more):
    layer = GrowingLinear(3, before)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    layer.grow(before + more)
    assert layer(torch.zeros(2, 3)).shape == (2, before + more)
    assert torch.equal(layer.weight[:before], weight)
    assert torch.equal(layer.bias[:before], bias)
    assert layer.weight.requires_grad
    assert layer.weight.is_leaf


def test_a_classifier_does_not_shrink():
    with pytest.raises(ValueError, match="cannot shrink"):
        GrowingLinear(3, 4).grow(3)


@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Identity, RateCoded])
def test_the_network_adds_both_modalities(activation):
    torch.manual_seed(0)
    network = ContinualNetwork(3, 5, classes=2, features=8, activation=activation)
    network.grow(4)
    assert network.classes == 4
    output = network(torch.randn(6, 3), torch.randn(6, 2, 4, 5))
    fused, f_a = output.logits.fused, output.features["audio"]
    assert [each.shape for each in output.logits.named().values()] == [(6, 4)] * 3
    torch.testing.assert_close(fused, network.classifier(f_a + output.features["visual"]))
    if activation is RateCoded:
        assert set((4 * f_a).unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
        fused.sum().backward()
        assert network.audio.weight.grad.abs().sum() > 0


def test_heads_train_the_projections_only_when_asked():
    for trained in (True, False):
        torch.manual_seed(0)
        network = ContinualNetwork(3, 5, classes=2, features=8, train_encoders_by_heads=trained)
        output = network(torch.randn(6, 3), torch.randn(6, 2, 4, 5))
        sum(each.sum() for each in output.logits.unimodal.values()).backward()
        assert all(head.weight.grad.abs().sum() > 0 for head in network.heads.values())
        assert (network.audio.weight.grad is not None) == trained


@given(st.integers(1, 8), st.integers(1, 40), st.integers(8, 60), st.integers(0, 9))
def test_the_memory_is_shared_out_evenly(classes, samples, size, seed):
    rows = {label: list(range(100 * label, 100 * label + samples)) for label in range(classes)}
    kept = memory.select(rows, size, seed)
    for label, chosen in kept.items():
        assert len(chosen) == len(set(chosen)) == min(samples, size // classes)
        assert set(chosen) <= set(rows[label])
    assert sum(map(len, kept.values())) <= size
    assert memory.select(rows, size, seed) == kept


def test_what_is_kept_later_was_kept_before():
    rows = {label: list(range(100 * label, 100 * label + 50)) for label in range(6)}
    few = memory.select(rows, 30, seed=1)
    more = memory.select({label: rows[label] for label in range(3)}, 30, seed=1)
    for label in range(3):
        assert set(few[label]) < set(more[label])
    assert memory.select(rows, 30, seed=2) != few


def test_a_memory_too_small_is_refused():
    with pytest.raises(UserError, match="`memory` 2 is smaller than the 3 old classes"):
        memory.select({0: [1], 1: [2], 2: [3]}, 2, 0)


def test_tasks_divide_the_classes():
    assert equal_tasks(6, 3) == (range(0, 2), range(2, 4), range(4, 6))
    with pytest.raises(UserError, match="10 classes do not divide into 3 tasks"):
        equal_tasks(10, 3)
