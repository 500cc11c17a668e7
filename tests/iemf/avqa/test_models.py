"""The baseline and ST-AVQA: shapes, parameters, equations by hand, and what does not depend on the batch."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from iemf.avqa.answer import AnswerNetwork
from iemf.avqa.attention import QuestionGuidedAttention
from iemf.avqa.baseline import Baseline
from iemf.avqa.grounding import MatchNetwork, ground
from iemf.avqa.question_encoder import QuestionEncoder
from iemf.avqa.st_avqa import STAVQA

MODELS = [Baseline, STAVQA]


def inputs(count=3, times=4, audio=5, visual=6, side=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, times, audio, generator=generator),
            torch.randn(count, times, visual, side, side, generator=generator),
            torch.randint(1, 9, (count, 14), generator=generator))  # fmt: skip


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_the_published_sizes_layer_by_layer():
    """VGGish 128, maps of 512, 93 words, 42 answers, width 512."""
    linear = lambda i, o: i * o + o  # noqa: E731
    question = 93 * 512 + 4 * 512 * (512 + 512 + 2) + linear(1024, 512)
    attention = linear(512, 3 * 512) + linear(512, 512) + 2 * linear(512, 512) + 2 * 512
    answer = linear(1024, 512) + 3 * linear(512, 42)
    sound = linear(128, 512) + linear(512, 512)
    match = sound + linear(1024, 512) + linear(1024, 512) + linear(512, 256) + linear(256, 128) + linear(128, 2)
    assert parameters(Baseline(128, 512, 93, 42)) == question + sound + 2 * attention + answer
    assert parameters(STAVQA(128, 512, 93, 42)) == question + match + 2 * attention + answer


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("visual", [8, 6])  # as many channels as the width, and not
def test_every_part_learns(model, visual):
    torch.manual_seed(0)
    network = model(5, visual, 9, 7, 8)
    answered = network(*inputs(visual=visual)).logits
    assert {name: logits.shape for name, logits in answered.named().items()} == {
        "audio": (3, 7), "visual": (3, 7), "fused": (3, 7),
    }  # fmt: skip
    sum(logits.square().sum() for logits in answered.named().values()).backward()
    still = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert {name.split(".")[1] for name in still} <= {"match"}  # of stage 1's loss alone


@pytest.mark.parametrize("model", MODELS)
def test_a_row_does_not_depend_on_its_batch(model):
    torch.manual_seed(0)
    network = model(5, 6, 9, 7, 8).eval()
    sound, maps, words = inputs(5)
    whole = network(sound, maps, words).logits.fused
    order = [3, 0, 4]
    torch.testing.assert_close(network(sound[order], maps[order], words[order]).logits.fused, whole[order])
    torch.testing.assert_close(network(sound[1:2], maps[1:2], words[1:2]).logits.fused, whole[1:2])


def test_the_question_is_the_lstms_last_state():
    torch.manual_seed(0)
    encoder = QuestionEncoder(9, 4)
    words = inputs()[2]
    h = c = torch.zeros(3, 4)
    w_i, w_h, b_i, b_h = encoder.lstm.all_weights[0]
    for step in range(14):
        x = torch.tanh(encoder.embedding.weight[words[:, step]])
        i, f, g, o = (x @ w_i.T + b_i + h @ w_h.T + b_h).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    expected = torch.cat([h, c], 1).tanh() @ encoder.linear.weight.T + encoder.linear.bias
    torch.testing.assert_close(encoder(words), expected)


def test_attention_by_hand():
    torch.manual_seed(0)
    layer = QuestionGuidedAttention(8).eval()
    q, x = torch.randn(2, 8), torch.randn(2, 3, 8)
    w_q, w_k, w_v = layer.attention.in_proj_weight.chunk(3)
    heads = lambda y: y.unflatten(-1, (4, 2))  # noqa: E731
    scores = torch.einsum("bhd,bthd->bht", heads(q @ w_q.T), heads(x @ w_k.T)) / 2**0.5
    mixed = torch.einsum("bht,bthd->bhd", scores.softmax(-1), heads(x @ w_v.T)).flatten(1)
    attended = layer.attention.out_proj(mixed)
    expected = layer.norm(attended + layer.linear2(layer.linear1(attended).relu()))
    torch.testing.assert_close(layer(q, x), expected)


def test_the_answer_by_hand():
    network = AnswerNetwork(1, 2)
    for p in network.parameters():
        nn.init.ones_(p)
    a, v, q = torch.tensor([[1.0]]), torch.tensor([[-2.0]]), torch.tensor([[3.0]])
    hidden = torch.tanh((torch.tanh(a) + torch.tanh(v) + 1) * q)
    expected = {"audio": a * q + 1, "visual": v * q + 1, "fused": hidden + 1}
    found = network(a, v, q).logits.named()
    assert list(found) == list(expected)
    for name, logits in found.items():
        torch.testing.assert_close(logits, expected[name].expand(1, 2))


@pytest.mark.parametrize("joint", [True, False])
def test_heads_of_a_vanilla_run_are_probes(joint):
    """The same logits; but no head's gradient reaches what is attended to, and every head has one of its own."""
    torch.manual_seed(0)
    network = AnswerNetwork(4, 2, train_encoders_by_heads=joint)
    parts = [torch.randn(3, 4, requires_grad=True) for _ in range(3)]
    logits = network(*parts).logits
    a, v, q = parts
    torch.testing.assert_close(
        logits.unimodal, {"audio": network.head_audio(a * q), "visual": network.head_visual(v * q)}
    )
    heads = [p for head in network.heads.values() for p in head.parameters()]
    loss = sum(each.square().sum() for each in logits.unimodal.values())
    reached = torch.autograd.grad(loss, [*parts, *heads], allow_unused=True)
    assert [gradient is not None for gradient in reached[:3]] == [joint] * 3
    assert all(gradient.abs().sum() > 0 for gradient in reached[3:])
    fused = torch.autograd.grad(network(*parts).logits.fused.sum(), parts)
    assert all(gradient.abs().sum() > 0 for gradient in fused)


def test_a_spiking_head_has_its_neurons_around_the_fusion():
    class Steps(nn.Module):
        def forward(self, x):
            return (x > 0.5).float()

    network = Baseline(5, 6, 9, 7, 8, Steps)
    seen = []
    network.answer.fc_fusion.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    network(*inputs())
    assert set(seen[0].unique().tolist()) <= {0.0, 1.0}
    assert sum(isinstance(module, nn.Tanh) for module in network.modules()) == 0


def test_grounding_by_hand():
    """Two places, one as the sound and one against it: weights e / (e + 1/e) and the rest."""
    directions = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    found, weights = ground(directions, torch.tensor([7.0, 0.0]))
    e = torch.tensor(1.0).exp()
    first = e / (e + 1 / e)
    torch.testing.assert_close(weights, torch.stack([first, 1 - first]))
    torch.testing.assert_close(found, torch.stack([2 * first - 1, torch.zeros(())]))


@given(st.integers(1, 6), st.integers(1, 5), st.floats(0.01, 100), st.integers(0, 99))
def test_grounding_attention_sums_to_one_whatever_the_scale(places, width, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    network = MatchNetwork(3, width, 4)
    maps = network.places(scale * torch.randn(2, 3, width, 1, places, generator=generator))
    grounded = network.grounded(network.hear(scale * torch.randn(2, 3, 3, generator=generator)), maps)
    assert grounded.weights.shape == (2, 3, places)
    torch.testing.assert_close(grounded.weights.sum(-1), torch.ones(2, 3))
    assert (grounded.weights > 0).all()


def test_time_means_are_added_to_what_is_attended():
    """Without attention (its output zero), a is the mean over time plus the norm's bias."""
    torch.manual_seed(0)
    network = STAVQA(5, 6, 9, 7, 8).eval()
    for attention in (network.attention_audio, network.attention_visual):
        nn.init.zeros_(attention.norm.weight)
    sound, maps, words = inputs()
    grounded = network.grounding.grounded(network.grounding.hear(sound), network.grounding.places(maps))
    expected = network.answer(grounded.audio.mean(1), grounded.visual.mean(1), network.question(words))
    torch.testing.assert_close(network(sound, maps, words).logits, expected.logits)


def test_the_match_network_of_stage_1_fits_into_st_avqa():
    stage1 = MatchNetwork(5, 6, 8)
    network = STAVQA(5, 6, 9, 7, 8)
    network.grounding.load_state_dict(copy.deepcopy(stage1.state_dict()))
    for name, value in stage1.state_dict().items():
        assert torch.equal(network.grounding.state_dict()[name], value)
