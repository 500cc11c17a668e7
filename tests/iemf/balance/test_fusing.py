"""What methods see of the networks of all tasks, and what they do to those without convolutions, by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iemf.avqa.baseline import Baseline
from iemf.avqa.st_avqa import STAVQA
from iemf.balance.lfm import LFM, alignment_loss
from iemf.balance.mslr import MSLR
from iemf.balance.ogm_ge import OGMGE, scaled_weights
from iemf.continual.model import ContinualNetwork
from iemf.errors import UserError
from tests.iemf.small import avqa_network

LABELS = torch.tensor([0, 1, 0])


def continual():
    torch.manual_seed(0)
    return ContinualNetwork(4, 5, 2, features=3), (torch.randn(3, 4), torch.randn(3, 2, 3, 5))


def answering(model):
    network = avqa_network(model).eval()
    return network, (torch.randn(3, 4, 5), torch.randn(3, 4, 6, 2, 2), torch.randint(1, 3, (3, 14)))


NETWORKS = {"continual": continual, "baseline": lambda: answering(Baseline), "st-avqa": lambda: answering(STAVQA)}


@pytest.fixture(params=["classification", *NETWORKS])
def network(request, make_network, batch):
    """(network, its inputs)."""
    if request.param == "classification":
        return make_network(), (batch[0][:3], batch[1][:3])
    return NETWORKS[request.param]()


def test_an_encoder_reaches_the_fusion_through_its_own_features_alone(network):
    module, inputs = network
    output = module(*inputs)
    assert set(module.encoders) == set(module.heads) == set(output.features) == {"audio", "visual"}
    for modality, other in (("audio", "visual"), ("visual", "audio")):
        own = list(module.encoders[modality].parameters())
        reached = torch.autograd.grad(output.features[modality].sum(), own, retain_graph=True, allow_unused=True)
        assert all(gradient is not None for gradient in reached)
        strange = torch.autograd.grad(output.features[other].sum(), own, retain_graph=True, allow_unused=True)
        assert all(gradient is None for gradient in strange)
        torch.testing.assert_close(module.heads[modality](output.features[modality]), output.logits.unimodal[modality])
    parts = [*module.encoders.values(), *module.heads.values(), module.fusion]
    ids = [id(p) for part in parts for p in part.parameters()]
    assert len(set(ids)) == len(ids)


def test_contributions_sum_to_the_fused_logits(network):
    module, inputs = network
    output = module(*inputs)
    if not module.splits:
        with pytest.raises(UserError, match="ogm-ge needs a fusion whose logits split by modality"):
            OGMGE(module)
        return
    parts = module.contributions(output.features)
    torch.testing.assert_close(sum(parts.values()), output.logits.fused)


def test_contributions_by_hand():
    """W = (2, -1), b = (1, 0): 3 and -1 give 6.5, -3 and -1.5, 1; together 5, -2."""
    network = ContinualNetwork(1, 1, 2, features=1)
    with torch.no_grad():
        network.classifier.weight.copy_(torch.tensor([[2.0], [-1.0]]))
        network.classifier.bias.copy_(torch.tensor([1.0, 0.0]))
    parts = network.contributions({"audio": torch.tensor([[3.0]]), "visual": torch.tensor([[-1.0]])})
    assert parts["audio"].tolist() == [[6.5, -3.0]]
    assert parts["visual"].tolist() == [[-1.5, 1.0]]


def test_mslr_scales_what_serves_one_modality_alone(network):
    module, inputs = network
    output = module(*inputs)
    sum(F.cross_entropy(logits, LABELS) for logits in output.logits.named().values()).backward()
    before = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    MSLR(module).on_gradients(output, LABELS, 0)
    rates = {id(p): rate for modality, rate in (("audio", 0.9), ("visual", 1.1))
             for part in (module.encoders[modality], module.heads[modality]) for p in part.parameters()}  # fmt: skip
    for name, p in module.named_parameters():
        if name in before:
            torch.testing.assert_close(p.grad, rates.get(id(p), 1.0) * before[name])


def test_lfm_adds_to_the_tasks_own_loss(network):
    """At epoch 0: 2·(0.2046·L + 0.7954·L_align), whatever L is."""
    module, inputs = network
    output, own, alpha = module(*inputs), torch.tensor(0.7), 0.204623704
    aligned = alignment_loss(*output.logits.unimodal.values())
    loss = LFM(module).loss(own, output, LABELS, 0)
    torch.testing.assert_close(loss, 2 * (alpha * own + (1 - alpha) * aligned))


def test_ogm_ge_without_convolutions_by_hand():
    """Features ±1 and 0, W = (-1, 1), b = 0: out_a = ∓1, ±1, so s_a = 2σ(2); out_v = 0, so s_v = 1; k_a is below 1."""
    network = ContinualNetwork(1, 1, 2, features=1, activation=nn.Identity)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.audio.weight.fill_(1.0)
        network.classifier.weight.copy_(torch.tensor([[-1.0], [1.0]]))
    output = network(torch.tensor([[-1.0], [1.0]]), torch.ones(2, 1, 1, 1))
    labels = torch.tensor([0, 1])
    F.cross_entropy(output.logits.fused, labels).backward()
    before = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    OGMGE(network, seed=5).on_gradients(output, labels, 0)
    k_audio = 1 - math.tanh(0.8 * 2 / (1 + math.exp(-2)))
    # One weight has no deviation, so the noise is that of 1e-8.
    assert before["audio.weight"].item() == pytest.approx(-2 / (1 + math.exp(2)), rel=1e-5)
    assert network.audio.weight.grad.item() == pytest.approx(k_audio * before["audio.weight"].item(), rel=1e-4)
    assert network.visual.weight.grad.item() == pytest.approx(before["visual.weight"].item(), abs=1e-6)
    for name in ("audio.bias", "visual.bias", "classifier.weight"):
        assert torch.equal(network.get_parameter(name).grad, before[name])


def test_convolutions_are_scaled_alone_where_there_are_any():
    mixed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))
    assert [list(p.shape) for p in scaled_weights(mixed)] == [[2, 1, 3, 3]]
    assert [list(p.shape) for p in scaled_weights(mixed[1:])] == [[3, 2]]
