"""Theorem 1 with real steps: a quadratic of known eigenvalues, ξ from logits, our scaling, torch's optimisers."""

import math

import pytest
import torch
from torch import nn

from iemf.analysis.contraction import LARGEST, contraction_factors, crossover, largest_stable
from iemf.modulation import InverseEffectiveness
from iemf.scaling import Scaling
from tests.conftest import ROOT

RATE = 0.5
EIGENVALUES = torch.tensor([0.2, 1.0, 2.0, 2.5, 3.0, 4.2], dtype=torch.float64)
LABELS = torch.zeros(4, dtype=torch.long)


def logits(probability):
    """[4, 2] whose true class has this probability."""
    return torch.tensor([[math.log(probability / (1 - probability)), 0.0]], dtype=torch.float64).expand(4, 2)


def stepped(scale, unimodal, fused, optimizer=torch.optim.SGD):
    """(what one step multiplied each weight by, ξ) on L = Σ λ_i·w_i²/2 from w = 1."""
    weight = nn.Parameter(torch.ones_like(EIGENVALUES))
    steps = optimizer([weight], lr=RATE)
    effect = InverseEffectiveness([weight], scale=scale, optimizer=steps)
    ((EIGENVALUES * weight**2).sum() / 2).backward()
    xi = effect.modulate([logits(unimodal)], logits(fused), LABELS)
    steps.step()
    return weight.detach(), float(xi)


@pytest.mark.parametrize("scale", ["gradient", "step"])
@pytest.mark.parametrize(("unimodal", "fused", "wanted"), [(0.3, 0.6, 1.4621), (0.5, 0.5, 1.0), (0.6, 0.4, 0.5379)])
def test_a_step_contracts_each_direction_by_the_theorems_factor(scale, unimodal, fused, wanted):
    """ξ above 1 where the fusion is ahead, 1 where both are equal, below 1 where the modalities alone are ahead."""
    weight, xi = stepped(scale, unimodal, fused)
    assert xi == pytest.approx(wanted, abs=5e-5)
    by_hand = [abs(1 - RATE * (1 + math.tanh(1 - unimodal / fused)) * value) for value in EIGENVALUES.tolist()]
    assert weight.abs().tolist() == pytest.approx(by_hand, rel=1e-12)
    assert contraction_factors(RATE, xi, EIGENVALUES).tolist() == pytest.approx(by_hand, rel=1e-12)


def factors(xi):
    """By ηλ, what 1 step multiplies the error by."""
    weight = nn.Parameter(torch.ones_like(EIGENVALUES))
    ((EIGENVALUES * weight**2).sum() / 2).backward()
    Scaling([weight]).apply(xi)
    torch.optim.SGD([weight], lr=RATE).step()
    sharp = (RATE * EIGENVALUES).tolist()
    return dict(zip((round(x, 3) for x in sharp), weight.detach().abs().tolist(), strict=True))


def test_a_small_coefficient_contracts_sharp_directions_faster_only_beyond_the_crossover():
    """The paper's sentence at ξ = 0.5: false at ηλ = 0.5 and 1, where it is slower; true beyond 2/1.5 = 1.333."""
    with_xi, without = factors(0.5), factors(1.0)
    assert (with_xi[0.5], without[0.5]) == (pytest.approx(0.75), pytest.approx(0.5))
    faster = {x for x in with_xi if with_xi[x] < without[x]}
    assert faster == {1.5, 2.1}
    assert crossover(0.5) == pytest.approx(4 / 3)
    assert with_xi[1.25] == pytest.approx(0.375)
    assert without[1.25] == pytest.approx(0.25)


def test_a_large_coefficient_contracts_flat_directions_faster_only_below_the_crossover():
    with_xi, without = factors(1.5), factors(1.0)
    assert {x for x in with_xi if with_xi[x] < without[x]} == {0.1, 0.5}
    assert crossover(1.5) == pytest.approx(0.8)


@pytest.mark.parametrize("xi", [0.2384, 0.5379, 1.2449, LARGEST])
def test_at_the_crossover_the_coefficient_changes_nothing(xi):
    x = torch.tensor([crossover(xi)], dtype=torch.float64)
    assert contraction_factors(1.0, xi, x) == pytest.approx(contraction_factors(1.0, 1.0, x))


def distance_after(count, sharp, xi):
    """|w| after ``count`` steps from 1 at ηλ = sharp."""
    weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
    steps, scaling = torch.optim.SGD([weight], lr=sharp), Scaling([weight])
    for _ in range(count):
        steps.zero_grad()
        (weight**2 / 2).sum().backward()
        scaling.apply(xi)
        steps.step()
    return abs(weight.item())


def test_that_the_coefficient_is_bounded_does_not_make_a_step_stable():
    """At ηλ = 1.5 plain descent converges, and with the largest ξ it does not; below 2/1.7616 both do."""
    assert pytest.approx(1 + math.tanh(1)) == LARGEST
    assert largest_stable() == pytest.approx(1.1353, abs=5e-5)
    assert distance_after(60, 1.5, 1.0) < 1e-12 < 1e6 < distance_after(60, 1.5, LARGEST)
    assert distance_after(60, 0.99 * largest_stable(), LARGEST) < 1
    assert distance_after(60, 1.01 * largest_stable(), LARGEST) > 1


def test_adam_is_no_part_of_the_theorem():
    """Its first step is η·sign(g), whatever λ: a factor on the gradient is lost, one on the step is not."""
    with pytest.warns(UserWarning, match="takes a factor on the gradient away"):
        weight, _ = stepped("gradient", 0.3, 0.6, torch.optim.Adam)
    assert weight.tolist() == pytest.approx([1 - RATE] * 6, abs=1e-6)
    weight, xi = stepped("step", 0.3, 0.6, torch.optim.Adam)
    assert weight.tolist() == pytest.approx([1 - RATE * xi] * 6, abs=1e-6)


def test_the_factors_of_the_page_are_those_of_real_steps():
    page = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    head, _, *rows = page[page.index("| ηλ |") :].split("\n\n")[0].splitlines()
    assert head.startswith("| ηλ | ξ = 0.5 | ξ = 1 |")
    assert len(rows) == 5
    for row in rows:
        sharp, small, plain = (float(cell) for cell in row.split("|")[1:4])
        assert distance_after(1, sharp, 0.5) == pytest.approx(small)
        assert distance_after(1, sharp, 1.0) == pytest.approx(plain)
        assert ("faster" in row) == (small < plain)
        assert ("diverges" in row) == (plain > 1)
