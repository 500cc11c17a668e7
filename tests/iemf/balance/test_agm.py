"""AGM against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iemf.balance.agm import AGM, coefficients, ratios, shapley_logits
from iemf.continual.model import ContinualNetwork
from iemf.errors import UserError
from iemf.fusion import FiLMFusion
from tests.iemf.balance.steps import method_of, step_of
from tests.iemf.small import avqa_network, classification_stage


def test_shapley_logits_by_hand_and_their_sum():
    """out(a, v) = 4, out(0, v) = 1, out(a, 0) = 2: audio (4 - 1 + 2)/2, visual (4 - 2 + 1)/2."""
    fused = {frozenset(names): torch.tensor([[value]]) for names, value in
             ((("audio", "visual"), 4.0), (("visual",), 1.0), (("audio",), 2.0))}  # fmt: skip
    phi = shapley_logits(fused, ("audio", "visual"))
    assert {m: each.item() for m, each in phi.items()} == {"audio": 2.5, "visual": 1.5}


def test_shapley_logits_of_three_by_hand():
    """a: 6/3 + (8 - 3)/6 + (10 - 0)/6 + (12 - 9)/3; a null player has what it brings alone, nothing."""
    values = {"a": 6.0, "v": 3.0, "d": 0.0, "av": 8.0, "ad": 10.0, "vd": 9.0, "avd": 12.0}
    phi = shapley_logits({frozenset(names): torch.tensor(value) for names, value in values.items()}, "avd")
    assert phi["a"].item() == pytest.approx(2 + 5 / 6 + 10 / 6 + 1)
    assert sum(each.item() for each in phi.values()) == pytest.approx(12)
    null = {"a": 1.0, "v": 2.0, "d": 0.0, "av": 5.0, "ad": 1.0, "vd": 2.0, "avd": 5.0}
    phi = shapley_logits({frozenset(names): torch.tensor(value) for names, value in null.items()}, "avd")
    assert [phi[m].item() for m in "avd"] == pytest.approx([2, 3, 0])


def test_ratios_by_hand():
    """Of two: e^(s_v - s_a), as the lower cross-entropy is ahead; of three: e^(3/2·(mean - s))."""
    assert ratios(torch.tensor([2.0, 8.0]).log()).tolist() == pytest.approx([4.0, 0.25])
    assert ratios(torch.tensor([1.0, 2.0, 4.0]).log()).tolist() == pytest.approx([2**1.5, 1.0, 2**-1.5])


def test_coefficients_by_hand():
    """No steps before: r̂ = 1, so e^(1 - 4) and e^(1 - 1/4); as far ahead as always: 1; and never above e^7."""
    scores = torch.tensor([2.0, 8.0]).log()
    assert coefficients(scores, torch.zeros(2)).tolist() == pytest.approx([math.exp(-3), math.exp(0.75)])
    assert coefficients(scores, torch.zeros(2), alpha=2.0).tolist() == pytest.approx([math.exp(-6), math.exp(1.5)])
    assert coefficients(scores, scores).tolist() == [1.0, 1.0]
    assert coefficients(torch.zeros(2), torch.tensor([0.0, math.log(100)]))[0].item() == pytest.approx(math.exp(7))


@pytest.mark.parametrize("fusion", ["concat", "film"])
def test_one_zeroed_sample_tells_what_zeroed_batches_would(make_network, batch, fusion):
    """The scores of whole passes with one input zeroed, by the definition."""
    network = make_network(**({"fusion": FiLMFusion} if fusion == "film" else {}))
    audio, visual, labels = batch
    method = AGM(network)
    output = network(audio, visual)
    with torch.no_grad():
        both, no_audio, no_visual = (network(a, v).logits.fused for a, v in (
            (audio, visual), (0 * audio, visual), (audio, 0 * visual)))  # fmt: skip
        expected = [F.cross_entropy((both - own + other) / 2, labels)
                    for own, other in ((no_audio, no_visual), (no_visual, no_audio))]  # fmt: skip
        torch.testing.assert_close(method.scores(output, labels), torch.stack(expected))
        assert expected[0] != expected[1]


@pytest.mark.parametrize("snn", [False, True])
def test_the_pass_of_nothing_leaves_the_network_as_it_was(accelerator, snn):
    stage = classification_stage(accelerator, method="agm", snn=snn)
    stage.module.train()
    outcome = stage.loss(stage.module, next(iter(stage.batches(0))), 0)
    outcome.loss.backward()
    before = {name: each.clone() for name, each in stage.module.state_dict().items()}
    seen = []
    stage.module.register_forward_hook(lambda _, inputs, __: seen.append(inputs))
    stage.on_gradients(outcome, 0)
    assert [list(x.shape) for inputs in seen for x in inputs] == [[1, 1, 32, 32]] * 2
    assert all(not x.any() for inputs in seen for x in inputs)
    assert stage.module.training
    assert all(torch.equal(before[name], each) for name, each in stage.module.state_dict().items())


def test_it_scales_whole_encoders_and_nothing_else_and_remembers(make_network, batch):
    network = make_network()
    method, _ = method_of("agm", network)
    scores = []
    for _ in range(3):
        before, behind = step_of(method, network, batch[:2], batch[2])
        scores.append(method.scores(network(*batch[:2]), batch[2]))
        k = coefficients(scores[-1], torch.stack(scores[:-1]).mean(0) if scores[1:] else torch.zeros(2))
        factors = dict(zip(("audio_encoder", "visual_encoder"), k.tolist(), strict=True))
        for name, g in before.items():
            torch.testing.assert_close(behind[name], factors.get(name.split(".")[0], 1.0) * g)
        with torch.no_grad():
            network.fusion.linear.weight.mul_(1.5)
    torch.testing.assert_close(method.means, torch.stack(scores).mean(0))
    assert method.steps == 3
    again = AGM(network)
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.means, method.means)
    assert again.steps == 3


def test_the_scores_are_of_the_global_batch(make_network, batch, monkeypatch):
    """Sums and their count are handed to the reduction, not means."""
    seen = []
    monkeypatch.setattr("iemf.balance.agm.sum_over_processes", lambda x: seen.append(x.clone()) or x)
    network = make_network()
    method = AGM(network)
    means = method.scores(network(*batch[:2]), batch[2])
    torch.testing.assert_close(seen[0], torch.cat([5 * means, torch.tensor([5.0])]))


def test_a_probability_of_nothing_is_cut_off(make_network, batch):
    network = make_network()
    with torch.no_grad():
        network.fusion.linear.weight.mul_(1e6)
    method = AGM(network)
    assert method.scores(network(*batch[:2]), batch[2]).max() <= -math.log(1e-8) + 1e-3


@pytest.mark.filterwarnings("ignore:.* takes a factor on the gradient away")
@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("scale", ["gradient", "step", None])
def test_factors_reach_the_update_of_adam_by_the_step_alone(make_network, batch, monkeypatch, make, scale):
    monkeypatch.setattr("iemf.balance.agm.coefficients", lambda *scores: torch.tensor([0.25, 3.0]))
    moved = {}
    for modulated in (False, True):
        network = make_network()
        start = {name: p.detach().clone() for name, p in network.named_parameters()}
        options = {} if make is torch.optim.SGD else {"weight_decay": 0.0}
        method, optimizer = method_of("agm", network, make=make, scale=scale, **options)
        step_of(method, network, batch[:2], batch[2], modulated=modulated)
        optimizer.step()
        moved[modulated] = {name: p.detach() - start[name] for name, p in network.named_parameters()}
    lost = scale == "gradient" and make is not torch.optim.SGD
    for name, update in moved[False].items():
        factor = 1.0 if lost else {"audio_encoder": 0.25, "visual_encoder": 3.0}.get(name.split(".")[0], 1.0)
        torch.testing.assert_close(moved[True][name], factor * update, rtol=2e-5, atol=2e-5 if lost else 2e-7)


def test_where_the_fusion_cannot_be_asked_anew_it_is_refused():
    from iemf.avqa.baseline import Baseline

    with pytest.raises(UserError, match="agm asks what the fusion makes of other features, and Baseline cannot say"):
        AGM(avqa_network(Baseline))


def test_fused_logits_of_features_are_the_networks(make_network, batch):
    network = make_network()
    output = network(*batch[:2])
    torch.testing.assert_close(network.fuse(output.features), output.logits.fused)
    continual = ContinualNetwork(4, 5, 2, features=3, activation=nn.Identity)
    output = continual(torch.randn(3, 4), torch.randn(3, 2, 3, 5))
    torch.testing.assert_close(continual.fuse(output.features), output.logits.fused)
