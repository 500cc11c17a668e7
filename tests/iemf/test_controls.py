"""Controls of ξ: a fixed one, and one of another batch."""

import copy

import pytest
import torch
import torch.nn.functional as F

from iemf.controls import MEMORY, FixedCoefficient, ShuffledCoefficient, drawn_from
from iemf.factory import make_modulation
from iemf.modulation import InverseEffectiveness


def parameter(gradient=1.0):
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.full((2,), gradient)
    return p


def logits_of(probability):
    """[1, 2], whose true class 0 has this probability."""
    return torch.tensor([[probability, 1 - probability]]).log()


LABEL = torch.tensor([0])


def test_a_fixed_coefficient_multiplies_the_gradient_by_its_number_and_measures_the_strengths_as_ever():
    p = parameter(8.0)
    modulation = FixedCoefficient([p], 0.25)
    effect = modulation.measure([logits_of(0.2), logits_of(0.4)], logits_of(0.6), LABEL)
    assert (effect.unimodal.item(), effect.fused.item()) == pytest.approx((0.3, 0.6))
    assert modulation.modulate([logits_of(0.2), logits_of(0.4)], logits_of(0.6), LABEL).item() == 0.25
    assert p.grad.tolist() == [2, 2]
    of_split = modulation.coefficient(torch.tensor([0.1, 0.9]), torch.tensor([0.5, 0.5]))
    assert of_split.tolist() == [0.25, 0.25]


@pytest.mark.parametrize("xi", [-0.1, float("inf"), float("nan")])
def test_a_fixed_coefficient_out_of_range_is_refused(xi):
    with pytest.raises(ValueError, match="xi must be a finite number of 0 or more"):
        FixedCoefficient([parameter()], xi)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_fixed_at_one_is_joint_learning_bit_for_bit(make_network, batch, momentum):
    joint, fixed = make_network(), make_network()
    for network, xi in ((joint, None), (fixed, 1.0)):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.5, momentum=momentum, weight_decay=1e-4)
        modulation = None if xi is None else FixedCoefficient(network.fusion.parameters(), xi)
        for _ in range(3):
            optimizer.zero_grad()
            logits = network(*batch[:2]).logits
            sum(F.cross_entropy(each, batch[2]) for each in logits.named().values()).backward()
            if modulation is not None:
                modulation.modulate(list(logits.unimodal.values()), logits.fused, batch[2])
            optimizer.step()
    for a, b in zip(joint.parameters(), fixed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_first_batch_has_its_own_xi_and_the_second_that_of_the_first():
    p = parameter()
    modulation = ShuffledCoefficient([p])
    modulation.apply(torch.tensor(0.5))
    assert p.grad.tolist() == [0.5, 0.5]
    p.grad = torch.ones(2)
    modulation.apply(torch.tensor(3.0))
    assert p.grad.tolist() == [0.5, 0.5]
    assert modulation.last.item() == 0.5
    assert [xi.item() for xi in modulation.measured] == [0.5, 3.0]


def applied_by(modulation, values):
    applied = []
    for value in values:
        modulation.parameters[0].grad = torch.ones(2)
        modulation.apply(torch.tensor(float(value)))
        applied.append(modulation.parameters[0].grad[0].item())
    return applied


def test_what_is_drawn_is_one_of_the_last_measured_before_it():
    """Numbers from 0 on, so that each tells when it was measured."""
    applied = applied_by(ShuffledCoefficient([parameter()], seed=1), range(600))
    ages = [now - then for now, then in enumerate(applied)]
    assert ages[0] == 0
    assert all(1 <= age <= min(now, MEMORY) for now, age in enumerate(ages) if now)
    late = ages[MEMORY:]
    assert set(late) == set(range(1, MEMORY + 1))  # every one of them, sooner or later
    assert sum(late) / len(late) == pytest.approx((1 + MEMORY) / 2, rel=0.1)


def test_the_mean_stays_and_the_match_with_the_batch_goes():
    measured = torch.rand(2000, generator=torch.Generator().manual_seed(0)) + 0.5
    applied = torch.tensor(applied_by(ShuffledCoefficient([parameter()], seed=2), measured))
    assert applied.mean().item() == pytest.approx(measured.mean().item(), abs=0.02)
    assert applied.std().item() == pytest.approx(measured.std().item(), abs=0.02)
    assert abs(torch.corrcoef(torch.stack([measured, applied]))[0, 1].item()) < 0.07


def test_a_seed_gives_the_same_draws_and_another_seed_others():
    of = [applied_by(ShuffledCoefficient([parameter()], seed=seed), range(50)) for seed in (3, 3, 4)]
    assert of[0] == of[1] != of[2]


def test_shuffled_goes_on_from_its_state_and_repeat_draws_nothing():
    first = ShuffledCoefficient([parameter()], seed=5)
    applied_by(first, range(40))
    second = ShuffledCoefficient([parameter()], seed=99)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    second.parameters[0].grad = torch.ones(2)
    second.repeat()
    assert torch.equal(second.parameters[0].grad[0], first.last)
    assert applied_by(first, range(40, 140)) == applied_by(second, range(40, 140))


def test_modulate_returns_what_was_applied_and_measures_by_equation_10():
    p = parameter()
    modulation, plain = ShuffledCoefficient([p], gamma=2.0), InverseEffectiveness([parameter()], gamma=2.0)
    low, high = [([logits_of(s)], logits_of(0.5), LABEL) for s in (0.1, 0.9)]
    first = modulation.modulate(*low)
    p.grad = torch.ones(2)
    assert modulation.modulate(*high) == first
    assert modulation.measured == [plain.measure(*low).xi, plain.measure(*high).xi]


def test_drawn_from_one_is_that_one():
    assert drawn_from([torch.tensor(7.0)], torch.Generator()).item() == 7


def test_make_modulation_chooses_the_control():
    p = parameter()
    sgd, adam = torch.optim.SGD([p], lr=1.0), torch.optim.Adam([p])
    fixed, shuffled = (
        make_modulation([p], sgd, xi=1.5),
        make_modulation([p], adam, gamma=3.0, gate="erf", xi="shuffled"),
    )
    assert (type(fixed), fixed.xi, fixed.scale) == (FixedCoefficient, 1.5, "gradient")
    assert (type(shuffled), shuffled.gamma, shuffled.scale) == (ShuffledCoefficient, 3.0, "step")
    assert shuffled.gate is torch.erf
    assert type(make_modulation([p], sgd)) is InverseEffectiveness
    with pytest.raises(ValueError, match="has no xi="):
        make_modulation([p], sgd, released=True, xi=1.0)
