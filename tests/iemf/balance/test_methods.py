"""Concat, MSLR, OGM-GE and LFM against values worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from iemf.balance import METHODS, PAPER, Method, register
from iemf.balance.concat import Concat
from iemf.balance.lfm import LFM, alignment_loss, classification_weight
from iemf.balance.mslr import MSLR, accuracy_ratio
from iemf.balance.ogm_ge import OGMGE, discrepancy_coefficients
from iemf.balance.ogm_parts import GE, OGM
from iemf.errors import UserError
from iemf.fusion import FiLMFusion
from iemf.logits import Logits
from iemf.network import Output


def output_of(fused, audio=None, visual=None, features=None):
    zero = torch.zeros_like(fused)
    z = features if features is not None else (zero, zero)
    unimodal = {"audio": zero if audio is None else audio, "visual": zero if visual is None else visual}
    return Output(Logits(unimodal, fused), dict(zip(unimodal, z, strict=True)))


def accuracies(audio, visual):
    return {"audio": audio, "visual": visual, "fused": 0.0}


def test_concat_is_cross_entropy_and_smooths_in_the_released_recipe(make_network):
    fused, labels = torch.tensor([[0.0, math.log(3)]]), torch.tensor([1])  # p = 1/4, 3/4
    own = Concat(make_network()).cross_entropy(fused, labels)
    assert own.item() == pytest.approx(-math.log(3 / 4))
    assert Concat(make_network()).loss(own, output_of(fused), labels, 0) is own
    # 0.1 spread over both classes: targets 0.05, 0.95
    expected = -(0.95 * math.log(3 / 4) + 0.05 * math.log(1 / 4))
    released = Concat(make_network(), recipe="released")
    assert released.cross_entropy(fused, labels).item() == pytest.approx(expected)


# ---- the registry


def test_methods_are_found_in_the_order_of_the_papers_tables():
    assert tuple(METHODS)[:4] == ("concat", "mslr", "ogm-ge", "lfm")
    assert [name.replace("-", "_") for name in METHODS][:4] == list(PAPER)
    assert [method.label for method in METHODS.values()][:4] == ["Concat", "MSLR", "OGM-GE", "LFM"]
    assert all(method.name == name for name, method in METHODS.items())


def test_a_name_belongs_to_one_class(monkeypatch):
    monkeypatch.setattr("iemf.balance.base.METHODS", {})
    import iemf.balance.base as base

    def make(name):
        return type(name, (Method,), {"__module__": "elsewhere"})

    first = register("mine", "Mine")(make("Mine"))
    assert (first.name, first.label) == ("mine", "Mine")
    with pytest.raises(ValueError, match="there is a method 'mine' already: Mine of elsewhere"):
        register("mine", "Other")(make("Other"))
    assert dict(base.METHODS) == {"mine": first}
    anew = register("mine", "Mine")(make("Mine"))  # its module was loaded once more, as in a notebook
    assert anew is not first
    assert dict(base.METHODS) == {"mine": anew}


# ---- MSLR


def test_accuracy_ratio_by_hand():
    assert accuracy_ratio([]) == 1
    assert accuracy_ratio([50, 60, 70, 80, 90]) == 1  # the first five epochs have no five before them
    assert accuracy_ratio([50, 60, 70, 80, 90, 35]) == pytest.approx(35 / 70)
    assert accuracy_ratio([1, 50, 60, 70, 80, 90, 105]) == pytest.approx(105 / 70)
    assert accuracy_ratio([0, 0, 0, 0, 0, 10]) == 1


def test_mslr_scales_encoder_and_head_of_each_modality(make_network, batch):
    network = make_network()
    method = MSLR(network)
    for epoch, (audio, visual) in enumerate([(50, 20)] * 5 + [(60, 10)]):
        method.on_validation(accuracies(audio, visual), epoch)
    output = network(*batch[:2])
    sum(F.cross_entropy(logits, batch[2]) for logits in output.logits.named().values()).backward()
    before = {name: p.grad.clone() for name, p in network.named_parameters()}
    method.on_gradients(output, batch[2], epoch=6)
    factors = {"audio": 0.9 * 60 / 50, "visual": 1.1 * 10 / 20, "fusion": 1.0}
    for name, p in network.named_parameters():
        factor = factors[name.split("_")[0].split(".")[0]]
        torch.testing.assert_close(p.grad, factor * before[name])


def test_mslr_stops_after_epoch_50_and_keeps_its_history(make_network, batch):
    network = make_network()
    method = MSLR(network)
    method.on_validation(accuracies(50.0, 20.0), 0)
    output = network(*batch[:2])
    sum(F.cross_entropy(logits, batch[2]) for logits in output.logits.named().values()).backward()
    before = network.audio_head.weight.grad.clone()
    method.on_gradients(output, batch[2], epoch=51)
    assert torch.equal(network.audio_head.weight.grad, before)
    method.on_gradients(output, batch[2], epoch=50)
    torch.testing.assert_close(network.audio_head.weight.grad, 0.9 * before)
    again = MSLR(network)
    again.load_state_dict(method.state_dict())
    assert again.history == {"audio": [50.0], "visual": [20.0]}


# ---- OGM-GE


def test_discrepancy_coefficients_by_hand():
    audio, visual = discrepancy_coefficients(torch.tensor(3.0), torch.tensor(2.0))  # ρ_a = 1.5
    assert audio.item() == pytest.approx(1 - math.tanh(0.8 * 1.5))
    assert visual.item() == 1
    audio, visual = discrepancy_coefficients(torch.tensor(1.0), torch.tensor(4.0))
    assert (audio.item(), visual.item()) == (1, pytest.approx(1 - math.tanh(3.2), rel=1e-5))
    assert [k.item() for k in discrepancy_coefficients(torch.tensor(2.0), torch.tensor(2.0))] == [1, 1]


@given(st.floats(0, 100, width=32), st.floats(0, 100, width=32))
def test_at_most_one_modality_is_slowed_down(a, v):
    k_a, k_v = (k.item() for k in discrepancy_coefficients(torch.tensor(a), torch.tensor(v)))
    assert 0 <= k_a <= 1
    assert 0 <= k_v <= 1
    assert max(k_a, k_v) == 1
    assert (k_a < 1) <= (a > v)


def prepared_ogm(make_network, batch, seed=0):
    """A network whose audio alone tells the classes apart, after backward, with OGM-GE on it."""
    network = make_network(classes=2)
    with torch.no_grad():
        for encoder, scale in ((network.audio_encoder, 1.0), (network.visual_encoder, 0.0)):
            encoder.conv.weight.fill_(scale * 0.25)
            encoder.conv.bias.zero_()
        network.fusion.linear.weight.copy_(torch.tensor([[-1.0] * 3 + [0.0] * 3, [1.0] * 3 + [0.0] * 3]))
        network.fusion.linear.bias.copy_(torch.tensor([0.2, -0.2]))
    images = torch.stack([torch.full((1, 2, 2), -1.0), torch.full((1, 2, 2), 1.0)])
    labels = torch.tensor([0, 1])
    output = network(images, torch.randn(2, 1, 2, 2))
    F.cross_entropy(output.logits.fused, labels).backward()
    return network, OGMGE(network, seed=seed), output, labels


def test_ogm_ge_by_hand(make_network, batch):
    """z_a = ∓1 (x3), so out_a = (±3, ∓3) + (0.1, -0.1); out_v = (0.1, -0.1)."""
    network, method, output, labels = prepared_ogm(make_network, batch)

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    score_audio = sigmoid(6.2) + sigmoid(5.8)
    score_visual = sigmoid(0.2) + sigmoid(-0.2)
    k_audio = 1 - math.tanh(0.8 * score_audio / score_visual)
    raw = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    method.on_gradients(output, labels, epoch=0)
    # Replay the noise: one draw a 4-D weight, audio first.
    generator = torch.Generator().manual_seed(0)
    for name, k in (("audio_encoder.conv.weight", k_audio), ("visual_encoder.conv.weight", 1.0)):
        noise = torch.randn(raw[name].shape, generator=generator) * (raw[name].std() + 1e-8)
        torch.testing.assert_close(network.get_parameter(name).grad, k * raw[name] + noise)
    for name in set(raw) - {"audio_encoder.conv.weight", "visual_encoder.conv.weight"}:
        assert torch.equal(network.get_parameter(name).grad, raw[name]), name


def test_ogm_ge_stops_after_epoch_50(make_network, batch):
    network, method, output, labels = prepared_ogm(make_network, batch)
    before = network.audio_encoder.conv.weight.grad.clone()
    method.on_gradients(output, labels, epoch=51)
    assert torch.equal(network.audio_encoder.conv.weight.grad, before)


def test_the_two_parts_of_ogm_ge_are_apart(make_network, batch):
    """g_OGM-GE = g_OGM + noise, g_GE = g + the same noise."""
    after = {}
    for method in (OGMGE, OGM, GE):
        network, _, output, labels = prepared_ogm(make_network, batch)
        raw = network.audio_encoder.conv.weight.grad.clone()
        method(network).on_gradients(output, labels, epoch=0)
        after[method] = network.audio_encoder.conv.weight.grad
    noise = after[GE] - raw
    assert noise.std() > 0
    torch.testing.assert_close(after[OGMGE] - after[OGM], noise)
    torch.testing.assert_close(after[OGM], raw * (after[OGM][0, 0, 0, 0] / raw[0, 0, 0, 0]))
    assert not torch.allclose(after[OGM], raw)


@pytest.mark.parametrize(("epoch", "slowed"), [(6, True), (7, False)])
def test_a_stretched_schedule_takes_the_same_part_of_a_shorter_run(epoch, slowed, make_network, batch):
    """Epoch 6 of 12 is where 50 of 100 is, epoch 7 where 58 is: behind OGM-GE's and MSLR's last."""
    network, method, output, labels = prepared_ogm(make_network, batch)
    method.use_epochs(12, 100)
    before = network.audio_encoder.conv.weight.grad.clone()
    method.on_gradients(output, labels, epoch)
    assert torch.equal(network.audio_encoder.conv.weight.grad, before) != slowed
    mslr = MSLR(network)
    mslr.use_epochs(12, 100)
    before = network.audio_encoder.conv.weight.grad.clone()
    mslr.on_gradients(output, labels, epoch)
    assert torch.equal(network.audio_encoder.conv.weight.grad, before) != slowed


def test_ogm_ge_noise_is_the_seeds_alone_and_resumes(make_network, batch):
    def gradient(method_state=None, global_seed=0):
        network, method, output, labels = prepared_ogm(make_network, batch)
        torch.manual_seed(global_seed)
        if method_state is not None:
            method.load_state_dict(method_state)
        method.on_gradients(output, labels, epoch=0)
        return network.audio_encoder.conv.weight.grad, method.state_dict()

    first, state = gradient(global_seed=1)
    assert torch.equal(first, gradient(global_seed=2)[0])  # the same on every replica
    assert not torch.equal(first, gradient(state)[0])


def test_ogm_ge_refuses_a_fusion_that_does_not_split(make_network):
    with pytest.raises(UserError, match="FiLMFusion"):
        OGMGE(make_network(fusion=FiLMFusion))


# ---- factors and adaptive optimisers


def updates(make_network, batch, name, make_optimizer, scale, factors):
    """Updates of every parameter in one step; ``factors``: whether the method has any. OGM-GE without its noise."""
    network = make_network()
    optimizer = make_optimizer(network.parameters(), lr=0.01)
    method = METHODS[name](network)
    method.use_optimizer(optimizer, scale)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    output = network(*batch[:2])
    sum(F.cross_entropy(logits, batch[2]) for logits in output.logits.named().values()).backward()
    if factors:
        method.on_gradients(output, batch[2], epoch=0)
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in network.named_parameters()}


FACTORS = {"mslr": {"audio": 0.9, "visual": 1.1}, "ogm-ge": {"audio": 0.25, "visual": 1.0}}


def scaled_by(name, parameter):
    """By how much a method multiplies this parameter's update."""
    of = parameter.split("_")[0]
    whole = name == "mslr" or parameter.endswith("encoder.conv.weight")
    return FACTORS[name].get(of, 1.0) if whole else 1.0


@pytest.mark.filterwarnings("ignore:.* takes a factor on the gradient away")
@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("make_optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
@pytest.mark.parametrize("scale", ["gradient", "step", None])
def test_factors_reach_the_update_of_adam_by_the_step_alone(
    make_network, batch, monkeypatch, name, make_optimizer, scale
):
    k = [torch.tensor(FACTORS["ogm-ge"][m]) for m in ("audio", "visual")]
    monkeypatch.setattr("iemf.balance.ogm_ge.discrepancy_coefficients", lambda *scores, alpha: k)
    monkeypatch.setattr("iemf.balance.ogm_ge.add_gradient_noise", lambda *noise: None)
    options = {"weight_decay": 0.0} if make_optimizer is not torch.optim.SGD else {}
    made = lambda p, lr: make_optimizer(p, lr=lr, **options)  # noqa: E731
    plain = updates(make_network, batch, name, made, scale, factors=False)
    moved = updates(make_network, batch, name, made, scale, factors=True)
    cancelled = scale == "gradient" and make_optimizer is not torch.optim.SGD
    for parameter, update in plain.items():
        factor = 1.0 if cancelled else scaled_by(name, parameter)
        # Weights are read back to 6e-8; Adam's eps leaves a little of a factor on small gradients.
        torch.testing.assert_close(moved[parameter], factor * update, rtol=2e-5, atol=2e-7 if not cancelled else 2e-5)


def test_a_method_without_factors_says_so():
    found = [METHODS[name.replace("_", "-")].has_factors for name in PAPER]  # concat, mslr, ogm-ge, lfm
    assert found == [False, True, True, False]


# ---- LFM


@pytest.mark.parametrize(("epoch", "alpha"), [(0, 0.205), (50, 0.437), (100, 0.539), (150, 0.821), (199, 0.916)])
def test_classification_weight_of_the_paper(epoch, alpha):
    assert classification_weight(epoch) == pytest.approx(alpha, abs=5e-4)


def test_the_weight_is_held_after_the_last_fitted_epoch():
    assert classification_weight(1000) == classification_weight(199)


def test_alignment_by_hand():
    # p = (1/4, 3/4), q = (1/2, 1/2), m = (3/8, 5/8)
    p, q = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    kl_p = 3 / 8 * math.log(3 / 2) + 5 / 8 * math.log(5 / 6)
    kl_q = 3 / 8 * math.log(3 / 4) + 5 / 8 * math.log(5 / 4)
    assert alignment_loss(p, q).item() == pytest.approx((kl_p + kl_q) / 2)


@given(st.lists(st.floats(-80, 80, width=32), min_size=6, max_size=6))
def test_alignment_is_zero_only_for_equal_predictions_and_stays_finite(values):
    p, q = torch.tensor(values).view(2, 1, 3)
    assert alignment_loss(p, p).item() == pytest.approx(0, abs=1e-6)
    assert -1e-6 <= alignment_loss(p, q).item() < math.inf
    torch.testing.assert_close(alignment_loss(p, q), alignment_loss(q, p))


def test_lfm_loss_by_hand_and_its_gradient_reaches_the_encoders_of_a_vanilla_network(make_network, batch):
    network = make_network(joint=False)
    audio, visual, labels = batch
    output = network(audio, visual)
    classification = F.cross_entropy(output.logits.fused, labels)
    loss = LFM(network).loss(classification, output, labels, epoch=0)
    alignment = alignment_loss(*output.logits.unimodal.values())
    torch.testing.assert_close(loss, 2 * (0.204623704 * classification + (1 - 0.204623704) * alignment))
    without = torch.autograd.grad(
        2 * 0.204623704 * classification, network.audio_encoder.conv.weight, retain_graph=True
    )
    loss.backward()
    assert not torch.allclose(network.audio_encoder.conv.weight.grad, without[0])


def test_lfm_reads_its_weight_at_the_stretched_epoch(make_network, batch):
    output = (network := make_network())(*batch[:2])
    short, long = LFM(network), LFM(network)
    short.use_epochs(12, 100)
    own = F.cross_entropy(output.logits.fused, batch[2])
    torch.testing.assert_close(short.loss(own, output, batch[2], 6), long.loss(own, output, batch[2], 50))
    assert not torch.allclose(short.loss(own, output, batch[2], 6), long.loss(own, output, batch[2], 6))


def test_released_lfm_aligns_the_features(make_network):
    features = (torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2))
    fused, labels = torch.tensor([[0.0, math.log(3)]]), torch.tensor([1])
    method = LFM(make_network(), recipe="released")
    loss = method.loss(method.cross_entropy(fused, labels), output_of(fused, features=features), labels, 0)
    smoothed = -(0.95 * math.log(3 / 4) + 0.05 * math.log(1 / 4))
    assert loss.item() == pytest.approx(smoothed + alignment_loss(*features).item())
