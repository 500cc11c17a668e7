"""NaN, infinities, extreme and half-precision numbers, empty batches and one class, in the public pure functions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from iemf import InverseEffectiveness
from iemf.avqa.attention import QuestionGuidedAttention
from iemf.avqa.layers import audio_layers, visual_layer
from iemf.avqa.pairs import MatchLogits, draw_others, match_loss
from iemf.balance.lfm import alignment_loss
from iemf.balance.mslr import accuracy_ratio
from iemf.balance.ogm_ge import discrepancy_coefficients
from iemf.coefficient import GATES, inverse_effectiveness, modality_strength, true_class_probability
from iemf.continual import losses
from iemf.divergence import divergence
from iemf.fusion import FUSIONS
from iemf.modulation import add_gradient_noise, deviation

HALVES = (torch.float16, torch.bfloat16)
DTYPES = (*HALVES, torch.float32, torch.float64)
WIDE = {dtype: torch.float32 if dtype in HALVES else dtype for dtype in DTYPES}
# as far as float16 goes, so that they are the same numbers in every dtype
EXTREME = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-7, 60000.0, -60000.0, 65504.0, -65504.0])
ANY = EXTREME | st.sampled_from([math.nan, math.inf, -math.inf])


@st.composite
def logits_and_labels(draw, numbers, sets=1, least_classes=1):
    """(tensors [B, C] of one dtype, labels [B])."""
    b, c = draw(st.integers(1, 4)), draw(st.integers(least_classes, 4))
    dtype = draw(st.sampled_from(DTYPES))
    tensors = [torch.tensor(draw(st.lists(numbers, min_size=b * c, max_size=b * c))).view(b, c) for _ in range(sets)]
    labels = torch.tensor(draw(st.lists(st.integers(0, c - 1), min_size=b, max_size=b)))
    return [tensor.to(dtype) for tensor in tensors], labels


# ---- ξ


@given(logits_and_labels(EXTREME, sets=3))
def test_finite_logits_give_a_finite_xi_in_its_range(case):
    (audio, visual, fused), labels = case
    p = nn.Parameter(torch.ones(3, dtype=fused.dtype))
    p.grad = torch.ones_like(p)
    effect = InverseEffectiveness([p])
    found = effect.measure([audio, visual], fused, labels)
    for value in found:
        assert value.dtype == WIDE[fused.dtype]
        assert value.device == fused.device
        assert torch.isfinite(value)
    assert 0 <= found.xi <= 1.7616
    assert 0 <= found.fused <= 1
    effect.apply(found.xi)
    assert p.grad.dtype == fused.dtype  # float16 parameters keep gradients of float16
    torch.testing.assert_close(p.grad, found.xi.expand(3).to(p.dtype))


@given(logits_and_labels(ANY))
def test_a_probability_is_in_range_or_nan_and_nan_is_never_hidden(case):
    (logits,), labels = case
    found = true_class_probability(logits, labels)
    assert found.dtype == WIDE[logits.dtype]
    assert ((found >= 0) & (found <= 1) | found.isnan()).all()
    # Softmax is undefined with NaN or +∞ among the logits, or -∞ alone; -∞ beside numbers is a class ruled out.
    undefined = logits.isnan().any(1) | (logits == math.inf).any(1) | (logits == -math.inf).all(1)
    assert torch.equal(found.isnan(), undefined)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(DTYPES), st.sampled_from(sorted(GATES)))
def test_xi_of_any_strengths_is_finite_and_of_their_dtype(unimodal, fused, dtype, gate):
    xi = inverse_effectiveness(torch.tensor(unimodal, dtype=dtype), torch.tensor(fused, dtype=dtype), gate=GATES[gate])
    assert xi.dtype == dtype
    assert torch.isfinite(xi)
    assert 0 <= xi <= 2


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_a_strength_that_is_nan_makes_a_xi_that_is_nan(gate):
    for strengths in ((math.nan, 0.5), (0.5, math.nan), (math.nan, 0.0), (0.0, math.nan)):
        assert inverse_effectiveness(*strengths, gate=gate).isnan()


@pytest.mark.parametrize(
    ("logits", "words"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), "floating-point numbers of one class or more, got torch.int64"),
        (torch.zeros(2, 3, dtype=torch.complex64), "got torch.complex64"),
        (torch.zeros(2, 0), "one class or more, got torch.float32"),
        (torch.zeros(0, 3), "an empty batch"),
    ],
    ids=["integers", "complex", "no class", "no sample"],
)
def test_logits_without_a_softmax_are_refused_clearly(logits, words):
    with pytest.raises(ValueError, match=words):
        modality_strength(logits, torch.zeros(len(logits), dtype=torch.int64))


def test_one_class_is_certain_and_xi_one():
    (p,) = [nn.Parameter(torch.zeros(1))]
    found = InverseEffectiveness([p]).measure([torch.randn(3, 1)], torch.randn(3, 1), torch.zeros(3, dtype=torch.int64))
    assert [value.item() for value in found] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (4,)])
def test_gradient_noise_of_any_size_keeps_dtype_and_is_finite(dtype, shape):
    gradient = torch.ones(shape, dtype=dtype)
    add_gradient_noise([gradient], [deviation(gradient)], torch.Generator().manual_seed(0))
    assert gradient.dtype == dtype
    assert torch.isfinite(gradient).all()


# ---- balance


@given(st.floats(0, 1e30), st.floats(0, 1e30), st.sampled_from((torch.float32, torch.float64)))
def test_at_most_one_modality_is_slowed_whatever_the_scores(audio, visual, dtype):
    found = discrepancy_coefficients(torch.tensor(audio, dtype=dtype), torch.tensor(visual, dtype=dtype))
    assert all(k.dtype == dtype and 0 <= k <= 1 for k in found)
    assert max(found) == 1


@given(st.lists(st.floats(0, 100), max_size=12))
def test_the_ratio_of_accuracies_is_a_positive_number(history):
    assert 0 <= accuracy_ratio(history) < math.inf


@given(logits_and_labels(EXTREME, sets=2))
def test_alignment_is_finite_and_nothing_where_both_agree(case):
    (audio, visual), _ = case
    audio = audio.clone().requires_grad_()
    loss = alignment_loss(audio, visual)
    loss.backward()
    assert loss.dtype == WIDE[visual.dtype]
    assert audio.grad.dtype == visual.dtype
    assert loss + 1e-6 >= 0
    assert torch.isfinite(loss)
    assert torch.isfinite(audio.grad).all()
    assert alignment_loss(visual, visual).abs() < 1e-6


def test_classes_that_both_rule_out_do_not_count():
    logits = torch.tensor([[0.0, math.log(3), -math.inf]], requires_grad=True)
    loss = alignment_loss(logits, torch.tensor([[0.0, math.log(3), -math.inf]]))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


# ---- divergence and continual learning


@given(logits_and_labels(EXTREME | st.just(-math.inf), sets=1, least_classes=2))
def test_a_divergence_from_itself_is_nothing(case):
    (logits,), _ = case
    logits[:, 0] = 0  # one class is possible
    log_p = logits.to(WIDE[logits.dtype]).log_softmax(1)
    assert divergence(log_p, log_p) == 0
    assert losses.attention_distillation(log_p, log_p) == 0
    assert losses.distillation(logits, logits, [slice(0, logits.shape[1])]) == 0


def test_a_divergence_by_hand_and_at_its_ends():
    """½ ln(½ / ¼) + ½ ln(½ / ¾) = ½ ln(4/3)."""
    half, quarter, sure = (torch.tensor([p]).log() for p in ([0.5, 0.5], [0.25, 0.75], [1.0, 0.0]))
    assert divergence(half, quarter).item() == pytest.approx(0.5 * math.log(4 / 3))
    assert divergence(sure, half).item() == pytest.approx(math.log(2))
    assert divergence(half, sure).item() == math.inf
    with pytest.raises(ValueError, match="one shape"):
        divergence(half, half[0])


@given(logits_and_labels(EXTREME, sets=2))
def test_losses_of_extreme_logits_are_finite_numbers_of_their_dtype(case):
    (new, old), labels = case
    new = new.clone().requires_grad_()
    for loss in (
        losses.distillation(new, old, [slice(0, new.shape[1])]),
        losses.attention_distillation(new.float().log_softmax(1), old.float().log_softmax(1)),
        losses.instance_contrast(*(nn.functional.normalize(x.to(WIDE[old.dtype]), dim=1) for x in (new, old))),
        losses.class_contrast(*(nn.functional.normalize(x.to(WIDE[old.dtype]), dim=1) for x in (new, old)), labels),
    ):
        assert torch.isfinite(loss)
        assert loss >= -1e-4
        assert loss.dtype in (WIDE[old.dtype], torch.float32)
    loss.backward()
    assert new.grad.dtype == old.dtype


def test_the_sum_of_a_batch_does_not_overflow_in_half():
    """Ten samples of 30 nats each a class, 64 of them: 19200 a sample; their sum is beyond float16."""
    features = nn.functional.normalize(torch.randn(64, 8), dim=1).half()
    assert torch.isfinite(losses.class_contrast(features, features, torch.zeros(64, dtype=torch.int64)))
    far = torch.tensor([[30000.0, -30000.0]] * 10).half()
    assert torch.isfinite(losses.distillation(far, -far, [slice(0, 2)]))
    assert torch.isfinite(alignment_loss(far, -far))


EMPTY, NONE = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)


@pytest.mark.parametrize(
    "loss",
    [
        lambda: alignment_loss(EMPTY, EMPTY),
        lambda: losses.distillation(EMPTY, EMPTY, [slice(0, 2)]),
        lambda: losses.new_class_loss(EMPTY, NONE, 1),
        lambda: losses.separated_loss(EMPTY, NONE, 0, 1),
        lambda: losses.instance_contrast(EMPTY, EMPTY),
        lambda: losses.class_contrast(EMPTY, EMPTY, NONE),
        lambda: losses.attention_distillation(EMPTY, EMPTY),
        lambda: match_loss(MatchLogits(EMPTY[:, :2], EMPTY[:, :2])),
    ],
)
def test_no_loss_of_an_empty_batch_is_nan(loss):
    with pytest.raises(ValueError, match="an empty batch has no"):
        loss()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda x: losses.distillation(x, x, []), "one old task at least"),
        (lambda x: losses.distillation(x, x, [slice(5, 7)]), r"4 old classes have none in slice\(5, 7"),
        (lambda x: losses.new_class_loss(x, torch.tensor([0, 2, 3]), 2), r"labels must lie in 2\.\.3 here, got 0\.\.3"),
        (lambda x: losses.new_class_loss(x, torch.tensor([4, 4, 4]), 2), r"2\.\.3 here, got 4\.\.4"),
        (lambda x: losses.separated_loss(x, torch.tensor([1, 0, 1]), 1, 2), r"2\.\.3 here, got 1\.\.1"),
        (lambda x: losses.separated_loss(x, torch.tensor([2, 0, 2]), 1, 2), r"0\.\.1 here, got 0\.\.2"),
    ],
)
def test_labels_and_slices_beyond_the_classes_are_named(loss, words):
    with pytest.raises(ValueError, match=words):
        loss(torch.randn(3, 4))


# ---- question answering, fusion


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_layers_keep_the_dtype_and_take_empty_batches(dtype, batch):
    x = torch.randn(batch, 5, 8, dtype=dtype)
    layers = [audio_layers(8, 8), visual_layer(8, 8), visual_layer(8, 4)]
    for layer in layers:
        out = layer.to(dtype)(x)
        assert (out.dtype, len(out)) == (dtype, batch)
    attended = QuestionGuidedAttention(8).to(dtype)(x[:, 0], x)
    assert (attended.dtype, attended.shape) == (dtype, (batch, 8))
    for make in FUSIONS.values():
        logits = make(8, 3).to(dtype)(x[:, 0], x[:, 1])
        assert (logits.dtype, logits.shape) == (dtype, (batch, 3))


def test_attention_shows_a_nan_of_one_sample_in_that_sample_alone():
    x = torch.randn(3, 5, 8)
    x[1, 2, 3] = math.nan
    out = QuestionGuidedAttention(8)(x[:, 0].nan_to_num(), x)
    assert out.isnan().any(1).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="width must be a multiple of 4, got 6"):
        QuestionGuidedAttention(6)


@given(logits_and_labels(EXTREME, sets=2, least_classes=2))
def test_the_match_loss_of_extreme_logits_is_finite(case):
    (right, wrong), _ = case
    loss = match_loss(MatchLogits(right[:, :2], wrong[:, :2]))
    assert torch.isfinite(loss)
    assert loss.dtype == WIDE[right.dtype]


@pytest.mark.parametrize(("videos", "seconds"), [(1, 5), (0, 5), (3, 0)])
def test_without_another_video_there_is_no_frame_of_one(videos, seconds):
    with pytest.raises(ValueError, match=rf"got {videos} video\(s\) of {seconds} s"):
        draw_others(torch.tensor([0]), videos, seconds, torch.Generator())
