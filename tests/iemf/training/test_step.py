"""One step: its order, its window, its totals, and what becomes of them at the end of an epoch."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.logits import Logits
from iemf.modulation import InverseEffectiveness
from iemf.training.step import EVERY_EPOCH, Step, Totals, Window, means, named_totals, outcome_of
from tests.iemf.small import Toy


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 12))
def test_a_window_holds_both_its_ends(first, last, epoch):
    assert (epoch in Window(first, last)) == (first <= epoch <= last)
    assert (epoch in Window(first)) == (first <= epoch)
    assert epoch in EVERY_EPOCH


def step_of(accelerator, stage, scale="gradient", gamma=1.0, **options):
    optimizer = torch.optim.SGD(stage.module.parameters(), lr=1.0)
    parameters = stage.module.fusion.parameters()
    modulation = InverseEffectiveness(parameters, gamma, scale=scale, optimizer=optimizer)
    network, prepared = accelerator.prepare(stage.module, optimizer)
    return Step(stage, network, prepared, accelerator, modulation, **options)


def moved(before, module):
    return {name: before[name] - value for name, value in module.state_dict().items()}


def gradients_of(stage, batch):
    """By hand, without dropout, from the module as it is."""
    stage.module.dropout.p = 0.0
    outcome = stage.loss(stage.module, batch, 0)
    names = [name for name, _ in stage.module.named_parameters()]
    gradients = dict(zip(names, torch.autograd.grad(outcome.loss, list(stage.module.parameters())), strict=True))
    stage.seen.clear()
    return gradients, outcome


def test_xi_acts_in_its_window_alone(accelerator):
    stage = Toy()
    batch = next(iter(stage.batches(0)))
    step = step_of(accelerator, stage, gamma=3.0, window=Window(1, 1))
    for epoch in (0, 1, 2):
        gradients, outcome = gradients_of(stage, batch)
        before = copy.deepcopy(stage.module.state_dict())
        totals = step(batch, epoch)
        assert ("xi" in totals) == (epoch == 1)
        xi = totals.get("xi", torch.tensor(1.0))
        for name, update in moved(before, stage.module).items():
            expected = gradients[name] * (xi if name.startswith("fusion") else 1)
            torch.testing.assert_close(update, expected, rtol=1e-4, atol=1e-6)
    assert totals["samples"] == 4
    assert totals["batches"] == 1
    assert stage.hooks == [0, 1, 2]
    torch.testing.assert_close(totals["loss"], 4 * outcome.loss.detach())


def test_the_norm_is_clipped_behind_xi(accelerator):
    """ξ of γ = 1000 makes the fusion's gradient the longest; what is left of the rest tells the order."""
    stage = Toy()
    batch = next(iter(stage.batches(0)))
    gradients, _ = gradients_of(stage, batch)
    before = copy.deepcopy(stage.module.state_dict())
    step = step_of(accelerator, stage, gamma=1000.0, clip_norm=0.25)
    xi = step(batch, 0)["xi"]
    scaled = {name: gradient * (xi if name.startswith("fusion") else 1) for name, gradient in gradients.items()}
    norm = torch.cat([gradient.flatten() for gradient in scaled.values()]).norm()
    updates = moved(before, stage.module)
    assert torch.cat([update.flatten() for update in updates.values()]).norm().item() == pytest.approx(0.25, rel=1e-4)
    for name, update in updates.items():
        torch.testing.assert_close(update, scaled[name] * 0.25 / norm, rtol=1e-4, atol=1e-6)


def test_clipped_first_xi_acts_on_what_is_left(accelerator):
    stage = Toy()
    batch = next(iter(stage.batches(0)))
    gradients, _ = gradients_of(stage, batch)
    before = copy.deepcopy(stage.module.state_dict())
    xi = step_of(accelerator, stage, gamma=1000.0, clip_norm=0.25, clip_first=True)(batch, 0)["xi"]
    norm = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()
    for name, update in moved(before, stage.module).items():
        factor = 0.25 / norm * (xi if name.startswith("fusion") else 1)
        torch.testing.assert_close(update, factor * gradients[name], rtol=1e-4, atol=1e-5)


def test_a_window_that_holds_repeats_its_last_xi_behind_it(accelerator):
    stage = Toy()
    batch = next(iter(stage.batches(0)))
    step = step_of(accelerator, stage, gamma=3.0, window=Window(1, 1, hold=True))
    xi = torch.tensor(1.0)
    for epoch in (0, 1, 2, 3):
        gradients, _ = gradients_of(stage, batch)
        before = copy.deepcopy(stage.module.state_dict())
        totals = step(batch, epoch)
        assert ("xi" in totals) == (epoch == 1)
        xi = totals.get("xi", xi)
        for name, update in moved(before, stage.module).items():
            factor = xi if name.startswith("fusion") else 1
            torch.testing.assert_close(update, factor * gradients[name], rtol=1e-4, atol=1e-6)
    assert abs(xi - 1) > 0.1


def test_the_stages_hook_comes_before_xi(accelerator):
    """What the hook sets is multiplied by ξ, not the other way round; and gradients are gone afterwards."""
    stage = Toy()
    step = step_of(accelerator, stage, gamma=2.0)

    def ones(outcome, epoch):
        for parameter in stage.module.parameters():
            parameter.grad.fill_(1.0)

    stage.on_gradients = ones
    before = copy.deepcopy(stage.module.state_dict())
    xi = step(next(iter(stage.batches(0))), 0)["xi"]
    for name, update in moved(before, stage.module).items():
        expected = xi if name.startswith("fusion") else torch.tensor(1.0)
        torch.testing.assert_close(update, expected.expand_as(update), rtol=1e-5, atol=1e-5)
    assert all(parameter.grad is None for parameter in stage.module.parameters())


def test_strengths_and_missing_evidence_are_among_the_totals(accelerator):
    stage = Toy()
    batch = next(iter(stage.batches(0)))
    _, outcome = gradients_of(stage, batch)
    totals = step_of(accelerator, stage)(batch, 0)
    logits, labels = outcome.evidence
    probability = {name: each.softmax(1).gather(1, labels[:, None]).mean() for name, each in logits.named().items()}
    torch.testing.assert_close(totals["s_fused"], probability["fused"].detach())
    torch.testing.assert_close(totals["s_unimodal"], (probability["audio"] + probability["visual"]).detach() / 2)
    assert totals["without_evidence"] == 0


def test_totals_add_up_by_name_whatever_their_order():
    totals = Totals(torch.device("cpu"))
    assert totals.read() == {}
    totals.add({"loss": torch.tensor(0.5, requires_grad=True), "right": torch.tensor(3)})
    totals.add({"right": torch.tensor(1), "loss": torch.tensor(2.0)})
    assert totals.read() == {"loss": 2.5, "right": 4.0}
    assert totals.read(lambda sums: 2 * sums) == {"loss": 5.0, "right": 8.0}
    assert not totals.sums.requires_grad


def test_small_totals_are_not_lost_beside_large_ones():
    totals = Totals(torch.device("cpu"))
    for value in (2.0**30, 1.0, 1.0):
        totals.add({"loss": torch.tensor(value)})
    assert totals.read() == {"loss": 2.0**30 + 2}


def test_totals_that_wait_are_counted_once():
    """1 + 2 + ... + n, below, at and above the number that waits."""
    for count in (Totals.HELD - 1, Totals.HELD, 2 * Totals.HELD + 1):
        totals = Totals(torch.device("cpu"))
        for value in range(1, count + 1):
            totals.add({"loss": torch.tensor(float(value)), "right": torch.tensor(1)})
            assert len(totals.waiting) < Totals.HELD
        expected = {"loss": count * (count + 1) / 2, "right": count}
        assert totals.read() == expected
        assert totals.read() == expected


def test_an_outcome_by_hand():
    eye = torch.eye(2)
    logits, labels = Logits({"audio": eye, "visual": eye[[1, 0]]}, eye), torch.arange(2)
    losses = {name: torch.tensor(value) for name, value in (("fused", 1.0), ("audio", 0.5), ("match", 0.25))}
    outcome = outcome_of(losses, logits, labels)
    assert (outcome.loss.item(), outcome.samples) == (1.75, 2)
    assert outcome.evidence == (logits, labels)
    assert {name: total.item() for name, total in outcome.totals.items()} == {
        "loss": 3.5, "loss_fused": 2.0, "loss_audio": 1.0, "loss_match": 0.5,
        "correct_audio": 2, "correct_visual": 0, "correct_fused": 2,
    }  # fmt: skip
    more = outcome_of(losses, logits, labels, further=torch.tensor(2.0))
    assert more.loss.item() == 3.75
    assert more.totals.keys() == outcome.totals.keys()


def test_means_by_hand():
    sums = {"loss": 12.0, "loss_fused": 6.0, "correct_fused": 3.0, "samples": 4.0, "batches": 2.0}
    expected = {"loss": 3.0, "loss_fused": 1.5, "train_accuracy_fused": 75.0}
    without = {"xi": None, "s_unimodal": None, "s_fused": None}
    assert means(sums) == expected | without
    modulated = sums | {"xi": 2.5, "s_unimodal": 0.5, "s_fused": 1.0, "without_evidence": 0.0}
    assert means(modulated) == expected | {"xi": 1.25, "s_unimodal": 0.25, "s_fused": 0.5}


def test_named_totals_by_hand():
    eye = torch.eye(3)
    logits = Logits({"audio": eye, "visual": eye[[1, 0, 2]]}, eye[[1, 2, 0]])
    labels = torch.arange(3)
    loss = F.cross_entropy(logits.fused.requires_grad_(), labels)
    totals = named_totals({"loss": loss}, logits, labels)
    assert list(totals) == ["loss", "correct_audio", "correct_visual", "correct_fused"]
    assert [int(totals[f"correct_{name}"]) for name in ("audio", "visual", "fused")] == [3, 1, 0]
    torch.testing.assert_close(totals["loss"], 3 * loss.detach())
    assert not totals["loss"].requires_grad
