"""MMPareto against numbers worked out by hand, in both branches."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.balance.mmpareto import MMPareto, integrated, pareto_weights
from iemf.errors import UserError
from tests.iemf.balance.steps import gradients, method_of, step_of
from tests.iemf.small import classification_stage


def weights_of(fused, own):
    a, b = (torch.tensor(g) for g in (fused, own))
    return a, b, pareto_weights(a @ a, a @ b, b @ b)


def test_gradients_that_agree_are_added():
    """(1, 0) and (1, 1): cosine 0.7; 1/2 and 1/2, h = (2, 1), which is their sum."""
    fused, own, weights = weights_of([1.0, 0.0], [1.0, 1.0])
    assert [w.item() for w in weights] == [0.5, 0.5]
    assert integrated(fused, own, weights).tolist() == [2.0, 1.0]


def test_gradients_in_conflict_take_the_least_norm_and_the_length_of_their_sum():
    """(1, 0) and (-1, 1): w = ((-2, 1)·(-1, 1)) / ‖(2, -1)‖² = 3/5; h = 2·(0.2, 0.4), of length 0.4·√5; the sum (0, 1)
    has 1."""
    fused, own, weights = weights_of([1.0, 0.0], [-1.0, 1.0])
    assert [w.item() for w in weights] == pytest.approx([0.6, 0.4])
    h = integrated(fused, own, weights)
    assert h.tolist() == pytest.approx([1 / math.sqrt(5), 2 / math.sqrt(5)])


def test_what_is_longer_than_the_sum_is_left_as_it_is():
    """(1, 1) and (-1, -0.9): the sum is (0, 0.1), and 2·(0.9·g_av + 0.1·g_m) = (1.6, 1.62)."""
    weights = (torch.tensor(0.9), torch.tensor(0.1))
    h = integrated(torch.tensor([1.0, 1.0]), torch.tensor([-1.0, -0.9]), weights)
    assert h.tolist() == pytest.approx([1.6, 1.62])


def test_a_gradient_of_nothing_is_in_nobodys_way():
    fused, own, weights = weights_of([1.0, 2.0], [0.0, 0.0])
    assert [w.item() for w in weights] == [0.5, 0.5]
    assert integrated(fused, own, weights).tolist() == [1.0, 2.0]
    zero = torch.zeros(2)
    assert integrated(zero, zero, pareto_weights(*torch.zeros(3))).tolist() == [0.0, 0.0]


def test_opposite_gradients_cancel_and_rounding_is_not_lengthened():
    """(1, 3) and (-2, -6): 2/3 and 1/3 leave nothing."""
    fused, own, weights = weights_of([1.0, 3.0], [-2.0, -6.0])
    assert [w.item() for w in weights] == pytest.approx([2 / 3, 1 / 3])
    assert integrated(fused, own, weights).abs().max() < 1e-6


vectors = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3)


@given(vectors, vectors)
def test_weights_are_of_the_shortest_mixture_and_h_descends_both(fused, own):
    a, b, (w, v) = weights_of(fused, own)
    assert (w + v).item() == pytest.approx(1)
    assert 0 <= w <= 1
    h = w * a + v * b
    if a @ b < 0:
        others = [(k * a + (1 - k) * b).norm() for k in torch.linspace(0, 1, 11)]
        assert h.norm() <= min(others) + 1e-4
    if a @ b != 0:
        least = -1e-3 * (1 + a.norm() * b.norm() + a @ a + b @ b)
        assert h @ a >= least
        assert h @ b >= least


def conflicting(make_network):
    """A network whose audio head wants what the fusion does not."""
    network = make_network()
    with torch.no_grad():
        network.audio_head.weight.copy_(-2 * network.fusion.linear.weight[:, :3])
        network.visual_head.weight.copy_(2 * network.fusion.linear.weight[:, 3:])
    return network


def test_each_encoder_gets_its_own_mixture_and_nothing_else_changes(make_network, batch):
    network = conflicting(make_network)
    audio, visual, labels = batch
    named = network(audio, visual).logits.named()
    own, products = {}, {}
    for modality, encoder in network.encoders.items():
        parameters = list(encoder.parameters())
        a, b = (torch.autograd.grad(F.cross_entropy(named[name], labels), parameters, retain_graph=True)
                for name in ("fused", modality))  # fmt: skip
        flat = [torch.cat([g.flatten() for g in each]) for each in (a, b)]
        products[modality] = (flat[0] @ flat[1]).item()
        w = 0.5
        if products[modality] <= 0:
            difference = flat[0] - flat[1]
            w = ((-difference @ flat[1]) / (difference @ difference)).item()
        for p, g_av, g_m in zip(parameters, a, b, strict=True):
            h = 2 * w * g_av + 2 * (1 - w) * g_m
            own[p] = 1.5 * h * max(1, ((g_av + g_m).norm() / h.norm()).item())
    assert products["audio"] < 0 < products["visual"]
    method, _ = method_of("mmpareto", network)
    before, behind = step_of(method, network, (audio, visual), labels)
    for name, p in network.named_parameters():
        if p in own:
            torch.testing.assert_close(behind[name], own[p])
            assert not torch.allclose(behind[name], before[name])
        else:
            assert torch.equal(behind[name], before[name]), name


@pytest.mark.parametrize("snn", [False, True])
def test_one_forward_pass_serves_both_backward_passes(accelerator, snn):
    """What the two passes give adds up to the gradient of the sum: nothing that the first one needs is gone."""
    stage = classification_stage(accelerator, method="mmpareto", snn=snn)
    passes = []
    stage.module.register_forward_hook(lambda *_: passes.append(1))
    outcome = stage.loss(stage.module, next(iter(stage.batches(0))), 0)
    stage.before_backward(outcome, lambda loss: loss)
    own = {p: g.clone() for p, g in stage.balance.own.items()}
    outcome.losses["fused"].backward(retain_graph=True)
    fused = {p: p.grad.clone() for p in own}
    stage.module.zero_grad()
    outcome.loss.backward()
    assert len(passes) == 1
    assert len(own) == sum(len(list(encoder.parameters())) for encoder in stage.module.encoders.values())
    for p, g in own.items():
        torch.testing.assert_close(p.grad, fused[p] + g, rtol=1e-3, atol=1e-5)


def test_the_unimodal_gradients_are_means_over_processes(make_network, batch, monkeypatch):
    """Two replicas that have seen the same end where one does."""
    found = []
    for replicas in (1, 2):
        monkeypatch.setattr("iemf.balance.mmpareto.sum_over_processes", lambda x, replicas=replicas: replicas * x)
        network = conflicting(make_network)
        found.append(step_of(method_of("mmpareto", network)[0], network, batch[:2], batch[2])[1])
    for name, g in found[0].items():
        torch.testing.assert_close(g, found[1][name])


def test_a_scaled_loss_is_scaled_back(make_network, batch):
    found = []
    for scale in (1.0, 1024.0):
        network = conflicting(make_network)
        method, _ = method_of("mmpareto", network)
        output = network(*batch[:2])
        losses = {name: F.cross_entropy(each, batch[2]) for name, each in output.logits.named().items()}
        method.before_backward(losses, lambda loss, scale=scale: scale * loss)
        sum(losses.values()).backward()  # and unscaled
        method.on_gradients(output, batch[2], 0)
        found.append(gradients(network))
    for name, g in found[0].items():
        torch.testing.assert_close(g, found[1][name])


@pytest.mark.filterwarnings("ignore:.* takes a factor on the gradient away")
@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("scale", ["gradient", "step", None])
def test_the_factor_reaches_the_update_of_adam_by_the_step_alone(make_network, batch, monkeypatch, make, scale):
    """Updates with 1.5 over those with 1."""
    moved = {}
    for factor in (1.0, 1.5):
        monkeypatch.setattr(MMPareto, "constant", factor)
        network = conflicting(make_network)
        start = {name: p.detach().clone() for name, p in network.named_parameters()}
        options = {} if make is torch.optim.SGD else {"weight_decay": 0.0}
        method, optimizer = method_of("mmpareto", network, make=make, scale=scale, **options)
        step_of(method, network, batch[:2], batch[2])
        optimizer.step()
        moved[factor] = {name: p.detach() - start[name] for name, p in network.named_parameters()}
    lost = scale == "gradient" and make is not torch.optim.SGD
    for name, update in moved[1.0].items():
        factor = 1.5 if "encoder" in name and not lost else 1.0
        torch.testing.assert_close(moved[1.5][name], factor * update, rtol=2e-5, atol=2e-5 if lost else 2e-7)


def test_heads_that_train_no_encoder_are_refused(make_network):
    with pytest.raises(UserError, match="mmpareto is a rule for the losses of the heads"):
        MMPareto(make_network(joint=False))
