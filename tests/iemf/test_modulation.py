"""Eq. 11: only the fusion's update changes, by exactly ξ."""

import copy

import pytest
import torch
import torch.nn.functional as F

import iemf
from iemf.coefficient import GATES, inverse_effectiveness, modality_strength
from iemf.factory import make_modulation
from iemf.modulation import InverseEffectiveness, ReleasedInverseEffectiveness


def joint_backward(network, batch):
    audio, visual, labels = batch
    output = network(audio, visual)
    sum(F.cross_entropy(logits, labels) for logits in output.logits.named().values()).backward()
    return output.logits


def one_step(network, batch, optimizer, modulation=None):
    """Parameters before and after one step of joint learning, with or without IEMF, and ξ."""
    before = copy.deepcopy(network.state_dict())
    logits = joint_backward(network, batch)
    xi = None
    if modulation is not None:
        xi = modulation.modulate(list(logits.unimodal.values()), logits.fused, batch[2]).item()
    optimizer.step()
    after = network.state_dict()
    return {name: after[name] - before[name] for name in before}, xi


@pytest.mark.parametrize("scale", ["gradient", "step"])
def test_only_the_fusion_moves_differently_and_by_exactly_xi(make_network, batch, scale):
    joint, fused = make_network(), make_network()
    optimizers = [torch.optim.SGD(n.parameters(), lr=0.5) for n in (joint, fused)]
    plain, _ = one_step(joint, batch, optimizers[0])
    modulation = InverseEffectiveness(fused.fusion.parameters(), scale=scale, optimizer=optimizers[1])
    modulated, xi = one_step(fused, batch, optimizers[1], modulation)
    assert abs(xi - 1) > 0.005  # else the test could not tell
    for name, update in plain.items():
        if name.startswith("fusion."):
            torch.testing.assert_close(modulated[name], xi * update, rtol=1e-5, atol=1e-7)
        else:
            assert torch.equal(modulated[name], update), name


def test_the_gradient_is_multiplied_by_xi(make_network, batch):
    network = make_network()
    logits = joint_backward(network, batch)
    before = {name: p.grad.clone() for name, p in network.named_parameters()}
    modulation = InverseEffectiveness(network.fusion.parameters(), gamma=3.0)
    xi = modulation.modulate(list(logits.unimodal.values()), logits.fused, batch[2])
    for name, p in network.named_parameters():
        assert torch.equal(p.grad, before[name] * xi if name.startswith("fusion.") else before[name])


def test_xi_is_equation_10_of_this_batch(make_network, batch):
    logits, labels = make_network()(*batch[:2]).logits, batch[2]
    audio, visual = logits.unimodal.values()
    unimodal = (modality_strength(audio, labels) + modality_strength(visual, labels)) / 2
    fused = modality_strength(logits.fused, labels)
    parameter = torch.nn.Parameter(torch.zeros(1))
    modulation = InverseEffectiveness([parameter], gamma=0.7)
    xi = modulation.modulate(list(logits.unimodal.values()), logits.fused, labels)
    torch.testing.assert_close(xi, inverse_effectiveness(unimodal, fused, 0.7))
    effect = modulation.measure(list(logits.unimodal.values()), logits.fused, labels)
    torch.testing.assert_close(effect.unimodal, unimodal)
    torch.testing.assert_close(effect.fused, fused)
    assert effect.xi == xi


def test_measuring_changes_nothing(make_network, batch):
    network = make_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    logits = joint_backward(network, batch)
    before = {name: p.grad.clone() for name, p in network.named_parameters()}
    for scale in ("gradient", "step"):
        effect = InverseEffectiveness(network.fusion.parameters(), gamma=9.0, scale=scale, optimizer=optimizer)
        effect.measure(list(logits.unimodal.values()), logits.fused, batch[2])
    weights = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer.step()
    for name, p in network.named_parameters():
        assert torch.equal(p.grad, before[name])
        torch.testing.assert_close(weights[name] - p, 0.5 * before[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make_optimizer", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_nearly_cancels_a_scaled_gradient_but_not_a_scaled_step(make_network, batch, make_optimizer):
    updates, xi = {}, None
    for scale in (None, "gradient", "step"):
        network = make_network()
        optimizer = make_optimizer(network.parameters(), lr=0.01)
        parameters = network.fusion.parameters()
        modulation = scale and InverseEffectiveness(parameters, gamma=0.3, scale=scale, optimizer=optimizer)
        moved, measured = one_step(network, batch, optimizer, modulation)
        updates[scale], xi = moved["fusion.linear.weight"], measured or xi
    torch.testing.assert_close(updates["step"], xi * updates[None], rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(updates["gradient"], updates[None], rtol=1e-3, atol=1e-8)


def test_scaling_the_step_is_scaling_the_learning_rate_with_momentum_and_decay(make_network, batch):
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    network, reference = make_network(), make_network()
    optimizer = torch.optim.SGD(network.parameters(), **options)
    modulation = InverseEffectiveness(network.fusion.parameters(), gamma=0.5, scale="step", optimizer=optimizer)
    others = [p for module in reference.children() if module is not reference.fusion for p in module.parameters()]
    groups = [{"params": others}, {"params": list(reference.fusion.parameters())}]
    by_hand = torch.optim.SGD(groups, **options)
    for _ in range(3):
        optimizer.zero_grad()
        by_hand.zero_grad()
        _, xi = one_step(network, batch, optimizer, modulation)
        joint_backward(reference, batch)
        by_hand.param_groups[1]["lr"] = 0.1 * xi
        by_hand.step()
        for a, b in zip(network.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_skipped_step_leaves_nothing_behind(make_network, batch):
    """A gradient scaler that finds an overflow never calls step; the next step must not use the old ξ."""
    network = make_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    modulation = InverseEffectiveness(network.fusion.parameters(), gamma=5.0, scale="step", optimizer=optimizer)
    logits = joint_backward(network, batch)
    modulation.modulate(list(logits.unimodal.values()), logits.fused, batch[2])
    optimizer.zero_grad()
    modulation.gamma = 1.0
    moved, xi = one_step(network, batch, optimizer, modulation)
    reference = make_network()
    plain, _ = one_step(reference, batch, torch.optim.SGD(reference.parameters(), lr=0.5))
    torch.testing.assert_close(moved["fusion.linear.bias"], xi * plain["fusion.linear.bias"], rtol=1e-5, atol=1e-7)


def test_three_lines_in_a_model_of_ones_own():
    """The lines of the README: three modalities, no network or loop of ours."""
    torch.manual_seed(0)
    encoders = torch.nn.ModuleList(torch.nn.Linear(4, 6) for _ in range(3))
    heads = torch.nn.ModuleList(torch.nn.Linear(6, 5) for _ in range(3))
    fusion = torch.nn.Linear(18, 5)
    parameters = [*encoders.parameters(), *heads.parameters(), *fusion.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    inputs, y = torch.randn(3, 8, 4), torch.arange(8) % 5

    effect = iemf.InverseEffectiveness(fusion.parameters())
    features = [encoder(x) for encoder, x in zip(encoders, inputs, strict=True)]
    unimodal = [head(z) for head, z in zip(heads, features, strict=True)]
    fused = fusion(torch.cat(features, dim=1))
    loss = sum(F.cross_entropy(logits, y) for logits in [*unimodal, fused])
    loss.backward()
    gradient = fusion.weight.grad.clone()
    xi = effect.modulate(unimodal=unimodal, fused=fused, labels=y)
    optimizer.step()

    strength = torch.stack([modality_strength(logits, y) for logits in unimodal]).mean()
    torch.testing.assert_close(xi, inverse_effectiveness(strength, modality_strength(fused, y)))
    torch.testing.assert_close(fusion.weight.grad, xi * gradient)


def test_released_recipe_adds_noise_of_the_deviation_that_the_gradient_had_before_xi(make_network, batch):
    network = make_network()
    logits = joint_backward(network, batch)
    expected = {}
    for seed in range(400):
        copied = copy.deepcopy(network)
        for p, original in zip(copied.parameters(), network.parameters(), strict=True):
            p.grad = original.grad.clone()
        modulation = ReleasedInverseEffectiveness(copied.fusion.parameters(), seed=seed)
        xi = modulation.modulate(list(logits.unimodal.values()), logits.fused, batch[2])
        expected.setdefault("draws", []).append(copied.fusion.linear.weight.grad.clone())
        assert torch.equal(copied.audio_head.weight.grad, network.audio_head.weight.grad)
    gradient = network.fusion.linear.weight.grad
    noise = torch.stack(expected["draws"]) - xi * gradient
    assert noise.std().item() == pytest.approx(gradient.std().item(), rel=0.03)
    assert noise.mean().abs() < 0.05 * gradient.std()


def test_released_noise_resumes(make_network, batch):
    network = make_network()
    first = ReleasedInverseEffectiveness(network.fusion.parameters(), seed=3)
    logits = joint_backward(network, batch)
    gradient = network.fusion.linear.weight.grad.clone()
    first.modulate(list(logits.unimodal.values()), logits.fused, batch[2])
    second = ReleasedInverseEffectiveness(network.fusion.parameters(), seed=99)
    second.load_state_dict(first.state_dict())
    results = []
    for modulation in (first, second):
        network.fusion.linear.weight.grad = gradient.clone()
        modulation.modulate(list(logits.unimodal.values()), logits.fused, batch[2])
        results.append(network.fusion.linear.weight.grad.clone())
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": "both"}, "scale"), ({"gamma": -1.0}, "gamma"), ({"scale": "step"}, "optimizer")],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        InverseEffectiveness([torch.nn.Parameter(torch.zeros(1))], **options)


def test_no_parameters_or_modalities_are_refused():
    with pytest.raises(ValueError, match="parameters"):
        InverseEffectiveness([])
    with pytest.raises(ValueError, match="modality"):
        InverseEffectiveness([torch.nn.Parameter(torch.zeros(1))]).modulate([], torch.zeros(1, 2), torch.zeros(1))


# ---- from a run's options

SGD, ADAM = torch.optim.SGD, torch.optim.Adam


@pytest.mark.parametrize(
    ("make_optimizer", "options", "kind", "scale"),
    [
        (SGD, {}, InverseEffectiveness, "gradient"),
        (ADAM, {}, InverseEffectiveness, "step"),
        (torch.optim.AdamW, {}, InverseEffectiveness, "step"),
        (SGD, {"scale": "step"}, InverseEffectiveness, "step"),
        (ADAM, {"scale": "gradient"}, InverseEffectiveness, "gradient"),
        (SGD, {"released": True}, ReleasedInverseEffectiveness, "gradient"),
        (ADAM, {"released": True, "scale": "gradient"}, ReleasedInverseEffectiveness, "gradient"),
        (ADAM, {"released": True}, InverseEffectiveness, "step"),
    ],
)
def test_a_runs_options_make_the_modulation(make_optimizer, options, kind, scale):
    parameter = torch.nn.Parameter(torch.zeros(2))
    made = make_modulation([parameter], make_optimizer([parameter], lr=0.1), **options)
    assert type(made) is kind
    assert made.scale == scale
    assert made.parameters == [parameter]
    assert (made.gamma, made.gate) == (1.0, torch.tanh)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("released", [False, True])
def test_gamma_gate_and_seed_reach_the_modulation(gate, released):
    parameter = torch.nn.Parameter(torch.zeros(2))
    made = make_modulation([parameter], SGD([parameter], lr=0.1), gamma=3.0, gate=gate, released=released, seed=5)
    assert made.gate is GATES[gate]
    if released:
        assert made.gamma == 1.0  # the released code knows none
        assert made.generator.initial_seed() == 5
    else:
        assert made.gamma == 3.0


def test_a_step_made_from_options_acts_on_its_own_optimiser(make_network, batch):
    updates = []
    for modulated in (False, True):
        network = make_network()
        optimizer = ADAM(network.parameters(), lr=0.01)
        made = make_modulation(network.fusion.parameters(), optimizer, gamma=0.3) if modulated else None
        updates.append(one_step(network, batch, optimizer, made))
    (plain, _), (scaled, xi) = updates
    torch.testing.assert_close(scaled["fusion.linear.weight"], xi * plain["fusion.linear.weight"], rtol=1e-4, atol=1e-7)


def test_an_unknown_gate_is_refused():
    parameter = torch.nn.Parameter(torch.zeros(2))
    with pytest.raises(KeyError, match="step"):
        make_modulation([parameter], SGD([parameter], lr=0.1), gate="step")
