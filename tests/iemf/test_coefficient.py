"""ξ against the numbers of the paper's equations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iemf.coefficient import GATES, inverse_effectiveness, modality_strength, true_class_probability

probability = st.floats(0, 1, width=32)


@pytest.mark.parametrize(
    ("ratio", "xi"), [(0, 1.7616), (0.25, 1.6351), (0.5, 1.4621), (0.75, 1.2449), (1, 1), (1.5, 0.5379), (2, 0.2384)]
)
def test_fixtures_of_equation_10(ratio, xi):
    assert inverse_effectiveness(0.4 * ratio, 0.4).item() == pytest.approx(xi, abs=5e-5)
    assert inverse_effectiveness(0.4 * ratio, 0.4, gamma=2.5).item() == pytest.approx(2.5 * xi, abs=2e-4)


def test_probability_of_the_true_class_by_hand():
    # softmax([0, ln 3]) = [1/4, 3/4];  softmax([ln 2, 0]) = [2/3, 1/3]
    logits = torch.tensor([[0.0, math.log(3)], [math.log(2), 0.0]])
    labels = torch.tensor([1, 0])
    torch.testing.assert_close(true_class_probability(logits, labels), torch.tensor([3 / 4, 2 / 3]))
    assert modality_strength(logits, labels).item() == pytest.approx((3 / 4 + 2 / 3) / 2)


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_without_fused_evidence_xi_takes_its_limit(gate):
    assert inverse_effectiveness(0.3, 0.0, gate=gate).item() == 0
    assert inverse_effectiveness(0.0, 0.0, gamma=2.0, gate=gate).item() == 2


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
@given(x=st.floats(-1e6, 1e6, width=32))
def test_gates_are_odd_and_bounded(gate, x):
    x = torch.tensor(x)
    torch.testing.assert_close(gate(-x), -gate(x))
    assert gate(x).abs() <= 1


@given(probability, probability, st.floats(0.01, 10))
def test_range_and_neutral_point(unimodal, fused, gamma):
    xi = inverse_effectiveness(unimodal, fused, gamma).item()
    assert 0 <= xi <= gamma * 1.76160
    neutral = inverse_effectiveness(fused, fused, gamma).item()
    assert neutral == pytest.approx(gamma)


@given(probability, probability, st.floats(0.01, 1))
def test_weaker_unimodal_evidence_never_lowers_xi(a, b, fused):
    weak, strong = sorted((a, b))
    assert inverse_effectiveness(weak, fused) >= inverse_effectiveness(strong, fused)


def test_several_sets_of_logits_at_once_are_each_by_itself():
    logits, labels = torch.randn(3, 8, 5), torch.tensor([0, 1, 2, 3, 4, -100, 1, 2])
    expected = torch.stack([true_class_probability(each, labels) for each in logits])
    assert torch.equal(true_class_probability(logits, labels), expected)
    assert torch.equal(expected[:, 5], torch.zeros(3))


def test_no_gradient_flows_through_the_scores():
    logits = torch.randn(4, 3, requires_grad=True)
    assert not modality_strength(logits, torch.tensor([0, 1, 2, 0])).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_scored_in_float32(dtype):
    logits, labels = torch.randn(8, 5).to(dtype), torch.arange(8) % 5
    expected = modality_strength(logits.float(), labels)
    torch.testing.assert_close(modality_strength(logits, labels), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 3]), "0..2"),
        (torch.zeros(2, 3), torch.tensor([-1, 0]), "0..2"),
        (torch.zeros(2, 3), torch.tensor([0]), "labels"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), "empty"),
    ],
)
def test_bad_logits_and_labels_are_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        modality_strength(logits, labels)


@pytest.mark.parametrize("gamma", [0, -1, math.inf, math.nan])
def test_bad_gamma_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma"):
        inverse_effectiveness(0.5, 0.5, gamma)
