"""The audio-visual network and the ResNet topology."""

import pytest
import torch
from torch import nn

import iemf_ann
import iemf_snn
from iemf.fusion import ConcatFusion
from iemf.network import AudioVisualNetwork
from iemf_snn import LIFNode


def test_frames_are_encoded_one_by_one_and_averaged(make_network, batch):
    network, (audio, visual, _) = make_network(), batch
    frames = torch.stack([visual, visual + 1], dim=1)
    expected = (network.visual_encoder(visual) + network.visual_encoder(visual + 1)) / 2
    torch.testing.assert_close(network(audio, frames).features["visual"], expected)


def test_heads_train_the_encoders_only_when_asked(make_network, batch):
    audio, visual, labels = batch
    for joint in (True, False):
        network = make_network(joint=joint)
        output = network(audio, visual)
        nn.functional.cross_entropy(output.logits.unimodal["audio"], labels).backward()
        assert network.audio_head.weight.grad.abs().sum() > 0
        assert (network.audio_encoder.conv.weight.grad is not None) == joint


def test_detaching_the_heads_changes_no_logit(make_network, batch):
    joint, vanilla = make_network(joint=True)(*batch[:2]), make_network(joint=False)(*batch[:2])
    assert list(joint.logits.named()) == list(vanilla.logits.named()) == ["audio", "visual", "fused"]
    for a, b in zip(joint.logits.named().values(), vanilla.logits.named().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("make", [iemf_ann.resnet18, iemf_snn.resnet18])
def test_resnet18_has_one_topology_for_both(make):
    network = make(3, width=8)
    assert network(torch.randn(2, 3, 40, 33)).shape == (2, 64)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 1 + 16 + 3
    assert [b.conv1.out_channels for b in network.blocks] == [8, 8, 16, 16, 32, 32, 64, 64]
    neurons = [m for m in network.modules() if isinstance(m, nn.ReLU | LIFNode)]
    assert len(neurons) == 1 + 16 + 3


def test_ann_and_snn_have_the_same_parameters():
    ann, snn = iemf_ann.resnet18(3, 8).state_dict(), iemf_snn.resnet18(3, 8).state_dict()
    assert {k: v.shape for k, v in ann.items()} == {k: v.shape for k, v in snn.items()}


def test_published_width_gives_512_features_and_the_parameters_counted_by_hand():
    network = iemf_ann.resnet18(3)
    stem = 64 * 3 * 49 + 128
    stage = {64: 4 * 9 * 64 * 64 + 4 * 128}
    for c in (128, 256, 512):
        p = c // 2
        # two blocks of two 3x3 convs with their norms (the first norm of the stage is p wide), and the 1x1 shortcut
        stage[c] = 9 * p * c + 3 * 9 * c * c + 2 * p + 3 * 2 * c + p * c + 2 * p
    assert network.features == 512
    assert sum(p.numel() for p in network.parameters()) == stem + sum(stage.values())


def test_the_stem_runs_once_whatever_T():
    network, calls = iemf_snn.resnet18(1, 4, time_steps=6), []
    network.stem_conv.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    network(torch.randn(3, 1, 32, 32))
    assert calls == [3]


def test_the_last_convolution_runs_once_and_changes_nothing(monkeypatch):
    """Averaging over time before it or behind it is the same: all behind the last neuron is linear."""
    torch.manual_seed(0)
    network, calls, x = iemf_snn.resnet18(1, 4, time_steps=6), [], torch.randn(3, 1, 64, 64)
    network.blocks[-1].conv2.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    features = network(x)
    average = network.over_time
    monkeypatch.setattr(network, "over_time", lambda x: x)
    torch.testing.assert_close(average(network(x)), features)
    assert calls == [3, 18]


def test_networks_run_in_channels_last():
    """Inside, that is; the caller's images may lie as they like."""
    for network in (iemf_ann.resnet18(3, 4), iemf_snn.resnet18(3, 4)):
        seen = []

        def look(module, inputs, output, seen=seen):
            seen.append(output.is_contiguous(memory_format=torch.channels_last))

        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.register_forward_hook(look)
        x = torch.randn(2, 3, 64, 64)
        features = network(x)
        assert len(seen) == 20
        assert all(seen)
        torch.testing.assert_close(features, network(x.contiguous(memory_format=torch.channels_last)))


@pytest.mark.parametrize("width", [1, 2, 8])
def test_gradients_are_right_at_any_width(width):
    """Against float64, which goes another way; oneDNN's strided 1x1 convolution has been wrong at small widths."""
    torch.manual_seed(0)
    network, x = iemf_ann.resnet18(1, width), torch.randn(8, 1, 64, 64)
    network(x).square().sum().backward()
    twin = iemf_ann.resnet18(1, width).double()
    twin.load_state_dict(network.state_dict())
    twin(x.double()).square().sum().backward()
    for (name, ours), right in zip(network.named_parameters(), twin.parameters(), strict=True):
        error = (ours.grad - right.grad).norm() / right.grad.norm()
        assert error < 0.1, name  # rounding flips a ReLU here and there


def test_relu_and_lif_and_every_T_give_different_outputs():
    x = torch.randn(4, 1, 32, 32)
    outputs = []
    for make, options in [(iemf_ann.resnet18, {})] + [(iemf_snn.resnet18, {"time_steps": t}) for t in (1, 2, 4)]:
        torch.manual_seed(0)
        outputs.append(make(1, width=8, **options)(x))
    for i, a in enumerate(outputs):
        for b in outputs[:i]:
            assert (a - b).abs().max() > 1e-3


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="width"):
        iemf_ann.resnet18(3, width=0)


def test_network_composes_with_any_encoder_of_the_form():
    encoders = [iemf_snn.resnet18(1, 4), iemf_ann.resnet18(3, 4)]
    network = AudioVisualNetwork(*encoders, ConcatFusion(32, 5), 32, 5, True)
    output = network(torch.randn(2, 1, 32, 32), torch.randn(2, 3, 3, 32, 32))
    assert output.logits.fused.shape == (2, 5)
