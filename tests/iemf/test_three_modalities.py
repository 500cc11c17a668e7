"""A third modality is one more entry: network, fusion, ξ and the balancing methods that are not of two."""

import math

import pytest
import torch
import torch.nn.functional as F

from iemf.balance import METHODS
from iemf.balance.lfm import alignment_loss
from iemf.balance.ogm_ge import OGMGE, discrepancy_coefficients, discrepancy_ratios
from iemf.errors import UserError
from iemf.fusion import FUSIONS, make_fusion
from iemf.modulation import InverseEffectiveness
from iemf.network import AudioVisualNetwork, MultimodalNetwork
from tests.conftest import LinearEncoder

NAMES = ("audio", "visual", "depth")
LABELS = torch.tensor([0, 1, 2, 0, 1])


def network(fusion="concat", joint=True):
    torch.manual_seed(0)
    return MultimodalNetwork(
        {name: LinearEncoder() for name in NAMES}, make_fusion(fusion, 3, 3, modalities=3), 3, 3, joint
    )


@pytest.fixture
def inputs():
    return torch.randn(3, 5, 1, 2, 2, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("fusion", ["concat", "sum"])
def test_fused_logits_split_into_three_parts(fusion, inputs):
    module = network(fusion)
    output = module(*inputs)
    assert list(output.logits.named()) == [*NAMES, "fused"]
    parts = module.contributions(output.features)
    assert list(parts) == list(NAMES)
    torch.testing.assert_close(sum(parts.values()), output.logits.fused)
    alone = dict(zip(NAMES, inputs, strict=True))["depth"]
    torch.testing.assert_close(output.logits.unimodal["depth"], module.depth_head(module.depth_encoder(alone)))


def test_a_modality_too_few_is_an_error(inputs):
    with pytest.raises(ValueError, match="zip"):
        network()(*inputs[:2])


@pytest.mark.parametrize("name", ["film", "gated"])
def test_layers_of_two_are_refused_for_three(name):
    with pytest.raises(UserError, match=f"`fusion` {name} is of two modalities, and there are 3"):
        make_fusion(name, 3, 3, modalities=3)
    assert isinstance(make_fusion(name, 3, 3), FUSIONS[name])


def test_two_modalities_have_the_names_that_checkpoints_have():
    names = AudioVisualNetwork(LinearEncoder(), LinearEncoder(), make_fusion("sum", 3, 3), 3, 3, True).state_dict()
    assert [name for name in names if "weight" in name] == [
        "audio_encoder.conv.weight", "visual_encoder.conv.weight", "fusion.audio.weight", "fusion.visual.weight",
        "audio_head.weight", "visual_head.weight",
    ]  # fmt: skip


def test_xi_is_of_the_mean_over_three():
    # The true class has probability 0.2, 0.5 and 0.8 alone, 0.6 fused, in both samples.
    logits = [torch.tensor([[p, 1 - p]] * 2).log() for p in (0.2, 0.5, 0.8, 0.6)]
    layer = torch.nn.Linear(2, 2)
    effect = InverseEffectiveness(layer.parameters()).measure(logits[:3], logits[3], torch.zeros(2, dtype=torch.long))
    assert effect.unimodal.item() == pytest.approx(0.5)
    assert effect.xi.item() == pytest.approx(1 + math.tanh(1 - 0.5 / 0.6))


def test_ogm_ge_compares_with_the_mean_of_the_others():
    ratios = discrepancy_ratios(*torch.tensor([3.0, 2.0, 1.0]))
    assert [r.item() for r in ratios] == pytest.approx([3 / 1.5, 2 / 2, 1 / 2.5])
    k = discrepancy_coefficients(*torch.tensor([3.0, 2.5, 0.5]))  # ρ = 2, 10/7, 2/11: two are ahead
    assert [each.item() for each in k] == pytest.approx([1 - math.tanh(1.6), 1 - math.tanh(8 / 7), 1], rel=1e-5)


def test_ogm_ge_slows_the_encoders_that_are_ahead(inputs):
    module = network()
    method = METHODS["ogm"](module)
    output = module(*inputs)
    F.cross_entropy(output.logits.fused, LABELS).backward()
    before = {name: encoder.conv.weight.grad.clone() for name, encoder in module.encoders.items()}
    parts = module.contributions(output.features)
    scores = [part.softmax(1)[range(5), LABELS].sum() for part in parts.values()]
    method.on_gradients(output, LABELS, epoch=0)
    factors = discrepancy_coefficients(*scores)
    assert sum(k < 1 for k in factors) in (1, 2)
    for k, (name, encoder) in zip(factors, module.encoders.items(), strict=True):
        torch.testing.assert_close(encoder.conv.weight.grad, k * before[name])
    assert isinstance(method, OGMGE)


def test_mslr_has_a_rate_for_the_third(inputs):
    module = network()
    method = METHODS["mslr"](module)
    output = module(*inputs)
    sum(F.cross_entropy(each, LABELS) for each in output.logits.named().values()).backward()
    before = {name: head.weight.grad.clone() for name, head in module.heads.items()}
    for accuracy in (10, 10, 10, 10, 10, 20):  # of every head; ρ = 2 behind the sixth epoch
        method.on_validation(dict.fromkeys((*NAMES, "fused"), accuracy), epoch=0)
    method.on_gradients(output, LABELS, epoch=6)
    for name, rate in zip(NAMES, (0.9, 1.1, 1.0), strict=True):
        torch.testing.assert_close(module.heads[name].weight.grad, 2 * rate * before[name])


def test_lfm_aligns_three_by_hand():
    p = torch.tensor([[0.7, 0.3], [0.5, 0.5], [0.3, 0.7]])
    m = torch.tensor([0.5, 0.5])
    expected = sum((m * (m / each).log()).sum() for each in p) / 3
    assert alignment_loss(*(each[None].log() for each in p)).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", ["concat", "mslr", "ogm-ge", "lfm", "mmpareto", "agm", "g-blending"])
@pytest.mark.parametrize("joint", [False, True])
def test_a_step_of_every_method_reaches_all_three(name, joint, inputs):
    module = network(joint=joint or METHODS[name].needs_heads)
    method = METHODS[name](module)
    method.use_epochs(100, 100)
    output = module(*inputs)
    losses = {name: F.cross_entropy(each, LABELS) for name, each in output.logits.named().items()}
    losses |= {"fused": method.loss(losses["fused"], output, LABELS, 0)}
    losses = method.weighted(losses, 0)
    method.before_backward(losses, lambda loss: loss)
    sum(losses.values()).backward()
    method.on_gradients(output, LABELS, 0)
    for parameter in module.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().sum() > 0


def test_methods_of_two_are_refused():
    with pytest.raises(UserError, match="pmr is a rule for two modalities, and the network has 3"):
        METHODS["pmr"](network())
