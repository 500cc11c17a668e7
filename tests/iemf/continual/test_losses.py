"""Losses against numbers worked out by hand, and what must not change them."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.continual import losses

LN3 = math.log(3)


def test_distillation_by_hand():
    """Two old classes, T = 2: softmax(old/2) = (3/4, 1/4), softmax(new/2) = (1/2, 1/2)."""
    old, new = torch.tensor([[2 * LN3, 0.0]]), torch.tensor([[0.0, 0.0, 9.0]])
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert losses.distillation(new, old, [slice(0, 2)]).item() == pytest.approx(expected)
    # Two samples of which one agrees: half of it. A second task adds its own divergence.
    new2, old2 = torch.cat([new, torch.tensor([[2 * LN3, 0.0, -1.0]])]), old.repeat(2, 1)
    assert losses.distillation(new2, old2, [slice(0, 2)]).item() == pytest.approx(expected / 2)
    twice = torch.cat([new[:, :2]] * 2, 1), torch.cat([old] * 2, 1)
    assert losses.distillation(*twice, [slice(0, 2), slice(2, 4)]).item() == pytest.approx(2 * expected)


def test_each_tasks_logits_are_distilled_by_themselves():
    """A shift of all logits of one task changes nothing; across tasks it would."""
    torch.manual_seed(0)
    new, old = torch.randn(5, 4), torch.randn(5, 4)
    shifted = new + torch.tensor([3.0, 3.0, 0.0, 0.0])
    apart, whole = [slice(0, 2), slice(2, 4)], [slice(0, 4)]
    torch.testing.assert_close(losses.distillation(new, old, apart), losses.distillation(shifted, old, apart))
    assert not torch.isclose(losses.distillation(new, old, whole), losses.distillation(shifted, old, whole))


def test_separated_softmax_by_hand():
    """Two new samples of loss ln 2 and an exemplar of loss ln 4 - ln 3: weights 2 : 1."""
    logits = torch.tensor([[50.0, 0.0, 0.0, 0.0], [0.0, 50.0, 0.0, 0.0], [LN3, 0.0, 50.0, 50.0]])
    labels = torch.tensor([2, 3, 0])
    expected = (2 * math.log(2) + math.log(4 / 3)) / 3
    assert losses.separated_loss(logits, labels, current=2, first_new=2).item() == pytest.approx(expected)
    assert losses.new_class_loss(logits[:2], labels[:2], first_new=2).item() == pytest.approx(math.log(2))


def test_separated_softmax_without_exemplars_is_the_new_class_loss():
    logits, labels = torch.randn(3, 5), torch.tensor([3, 4, 3])
    separated = losses.separated_loss(logits, labels, current=3, first_new=3)
    torch.testing.assert_close(separated, losses.new_class_loss(logits, labels, 3))


def test_contrasts_by_hand():
    """a1 = v1, a2 = v2, orthogonal; tau = 1: likelihoods e/(e+1) on, 1/(e+1) off the diagonal."""
    audio = visual = torch.eye(2)
    on, off = math.log(math.e / (math.e + 1)), math.log(1 / (math.e + 1))
    assert losses.instance_contrast(audio, visual, tau=1.0).item() == pytest.approx(-on)
    apart, same = torch.tensor([0, 1]), torch.tensor([0, 0])
    assert losses.class_contrast(audio, visual, apart, tau=1.0).item() == pytest.approx(-2 * on / 4)
    assert losses.class_contrast(audio, visual, same, tau=1.0).item() == pytest.approx(-(2 * on + 2 * off) / 4)
    assert losses.TAU == 0.05


def test_instance_contrast_goes_from_sound_to_picture():
    audio, visual = F.normalize(torch.randn(3, 4)), F.normalize(torch.randn(3, 4))
    expected = F.cross_entropy(audio @ visual.T / 0.05, torch.arange(3))
    torch.testing.assert_close(losses.instance_contrast(audio, visual), expected)
    assert not torch.isclose(losses.instance_contrast(visual, audio), expected)


def test_attention_distillation_by_hand():
    """Old (3/4, 1/4) against new (1/2, 1/2), twice in one of two samples."""
    old = torch.tensor([[[0.75, 0.25], [0.75, 0.25]], [[0.5, 0.5], [0.5, 0.5]]]).log()
    new = torch.full((2, 2, 2), 0.5).log()
    expected = 2 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
    assert losses.attention_distillation(new, old).item() == pytest.approx(expected)
    assert losses.attention_distillation(old, old).item() == 0


@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_divergences_are_not_negative(batch, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    new, old = (torch.randn(batch, classes + 2, generator=generator) for _ in range(2))
    assert losses.distillation(new, old, [slice(0, classes)]) >= -1e-6
    a, b = (x.log_softmax(1) for x in (new, old))
    assert losses.attention_distillation(a, b) >= -1e-6
