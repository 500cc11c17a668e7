"""InverseEffectiveness handed what it cannot scale: a clear error, or what was meant."""

import accelerate
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iemf import InverseEffectiveness, modality_strength
from iemf.coefficient import true_class_probability


def scaled(parameters, gradient=1.0, xi=0.5, **options):
    """Gradients of 1 behind ξ = 0.5."""
    effect = InverseEffectiveness(parameters, **options)
    for p in effect.parameters:
        p.grad = torch.full_like(p, gradient)
    effect.apply(torch.tensor(xi))
    return [p.grad.unique().tolist() for p in effect.parameters]


def test_a_module_stands_for_its_parameters():
    assert scaled(nn.Linear(2, 3)) == [[0.5], [0.5]]


def test_the_same_parameter_twice_is_scaled_once():
    """Tied weights."""
    weight = nn.Parameter(torch.zeros(2))
    assert scaled([weight, weight]) == [[0.5]]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda layer: layer.named_parameters(), TypeError, r"parameters\(\)"),
        (lambda layer: [layer.weight.numpy(force=True)], TypeError, "ndarray"),
        (lambda layer: [layer.weight[:1]], ValueError, "view or a result"),
        (lambda layer: [layer.weight.view(-1)], ValueError, "view or a result"),
        (lambda layer: layer.requires_grad_(False).parameters(), ValueError, "frozen"),
    ],
    ids=["named", "array", "slice", "view", "frozen"],
)
def test_what_can_never_be_scaled_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        InverseEffectiveness(make(nn.Linear(2, 3)))


def test_an_optimiser_that_does_not_hold_the_parameters_is_refused():
    fusion, other = nn.Linear(2, 3), nn.Linear(2, 3)
    with pytest.raises(ValueError, match="does not update 2 of the 2"):
        InverseEffectiveness(fusion.parameters(), scale="step", optimizer=torch.optim.SGD(other.parameters(), lr=1.0))


def test_an_optimiser_that_accelerate_has_prepared(accelerator):
    fusion = nn.Linear(2, 3, bias=False)
    before = fusion.weight.detach().clone()
    fusion, optimizer = accelerator.prepare(fusion, torch.optim.SGD(fusion.parameters(), lr=1.0))
    assert isinstance(optimizer, accelerate.optimizer.AcceleratedOptimizer)
    effect = InverseEffectiveness(fusion.parameters(), scale="step", optimizer=optimizer)
    fusion.weight.grad = torch.ones_like(fusion.weight)
    effect.apply(torch.tensor(0.5))
    optimizer.step()
    torch.testing.assert_close(fusion.weight, before - 0.5)


def test_a_xi_whose_step_was_skipped_does_not_act_on_a_later_one():
    """What a gradient scaler does on overflow; the next step is outside of the epochs with ξ."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    effect = InverseEffectiveness([weight], scale="step", optimizer=optimizer)
    (weight * 1).sum().backward()
    effect.apply(torch.tensor(0.25))
    optimizer.zero_grad()  # and no step
    (weight * 1).sum().backward()
    optimizer.step()
    assert weight.item() == -1.0


LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0], [1.0, 1.0, 0.0]])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integers(dtype):
    labels = torch.tensor([0, 2, 1])
    torch.testing.assert_close(modality_strength(LOGITS, labels.to(dtype)), modality_strength(LOGITS, labels))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_labels_that_are_no_integers_are_refused(dtype):
    with pytest.raises(ValueError, match="labels must be integers"):
        true_class_probability(LOGITS, torch.tensor([0, 2, 1]).to(dtype))


def test_labels_that_the_loss_ignores_are_left_out_here_too():
    labels = torch.tensor([0, -100, 1])
    kept = modality_strength(LOGITS[[0, 2]], labels[[0, 2]])
    torch.testing.assert_close(modality_strength(LOGITS, labels), kept)
    F.cross_entropy(LOGITS, labels)
    effect = InverseEffectiveness([nn.Parameter(torch.zeros(1))]).measure([LOGITS], LOGITS.flip(0), labels)
    torch.testing.assert_close(effect.unimodal, kept)
    torch.testing.assert_close(effect.fused, modality_strength(LOGITS.flip(0)[[0, 2]], labels[[0, 2]]))
    alone = InverseEffectiveness([nn.Parameter(torch.zeros(1))]).measure([LOGITS], LOGITS, torch.full((3,), -100))
    assert alone.xi.item() == 1.0  # no evidence on either side
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.2"):
        true_class_probability(LOGITS, torch.tensor([0, -1, 1]))


def test_logits_of_other_classes_than_the_fusions_are_refused():
    effect = InverseEffectiveness([nn.Parameter(torch.zeros(1))])
    with pytest.raises(ValueError, match=r"need one shape, got \[\(3, 2\), \(3, 3\)\]"):
        effect.measure([LOGITS[:, :2]], LOGITS, torch.tensor([0, 1, 1]))
