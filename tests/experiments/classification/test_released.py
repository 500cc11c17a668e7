"""--recipe released: each departure of the released code from the paper that METHODS names, with its number."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import iemf_snn
from experiments.classification import build
from experiments.classification.options import RunConfig, resolve
from iemf.balance import METHODS
from iemf.data.audio import LogSpectrogram, SpectrogramForm
from iemf.data.base import AudioVisualData, KeepInputs, training_loader
from iemf.data.image import evaluation_transform
from iemf.modulation import ReleasedInverseEffectiveness, deviation

FILES = {"dataset": "crema-d", "data_root": "x", "data_digest": "0"}


def config(**options):
    options = FILES | {"recipe": "released"} | options
    return resolve(RunConfig(**{**options, "data_root": Path(options["data_root"])}))


def test_the_noise_has_the_deviation_of_the_gradient_before_xi():
    """At ξ = 0.036 that of the gradient behind it would be 28 times too little."""
    parameter = torch.nn.Parameter(torch.zeros(200, 100))
    gradient = torch.randn(200, 100, generator=torch.Generator().manual_seed(0))
    parameter.grad = gradient.clone()
    effect = ReleasedInverseEffectiveness([parameter], seed=1)
    effect.apply(torch.tensor(0.036))
    noise = parameter.grad - 0.036 * gradient
    assert noise.std().item() == pytest.approx(gradient.std().item(), rel=0.02)


def test_a_gradient_of_one_element_has_no_deviation():
    assert deviation(torch.ones(1, 1)).item() == 0


@pytest.mark.parametrize("name", METHODS)
def test_labels_are_smoothed_in_every_methods_loss_and_in_both_heads(make_network, batch, name):
    network = make_network()
    logits = network(*batch[:2]).logits.fused
    for recipe, smoothing in (("paper", 0.0), ("released", 0.1)):
        method = METHODS[name](network, recipe=recipe)
        expected = F.cross_entropy(logits, batch[2], label_smoothing=smoothing)
        torch.testing.assert_close(method.cross_entropy(logits, batch[2]), expected)
    smooth, sharp = (METHODS[name](network, recipe="released") for _ in range(2))
    sharp.label_smoothing = 0.0
    output, labels = network(*batch[:2]), batch[2]
    losses = [method.loss(method.cross_entropy(output.logits.fused, labels), output, labels, 0)
              for method in (smooth, sharp)]  # fmt: skip
    assert abs(losses[0] - losses[1]) > 1e-3


def test_weights_decay_and_biases_and_norms_do_not(make_network):
    run = config()
    data = AudioVisualData("", tuple("abcdef"), [], [], [], 1, 3, KeepInputs())
    network = build.build_network(replace(run, width=2), data)
    weights, others = build.build_optimizer(run, network).param_groups
    assert (weights["weight_decay"], others["weight_decay"], weights["nesterov"]) == (5e-4, 0.0, True)
    assert weights["momentum"] == 0.9
    assert {p.ndim for p in weights["params"]} == {2, 4}
    assert {p.ndim for p in others["params"]} == {1}
    assert len(weights["params"]) + len(others["params"]) == len(list(network.parameters()))
    (paper,) = build.build_optimizer(config(recipe="paper"), network).param_groups
    assert (paper["weight_decay"], paper["nesterov"]) == (1e-4, False)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (32, 5e-3, 70)),
        ({"method": "lfm"}, (16, 2e-3, 70)),
        ({"method": "lfm", "dataset": "kinetics-sounds"}, (16, 5e-3, 70)),
        ({"method": "lfm", "recipe": "paper"}, (32, 5e-3, None)),
    ],
)
def test_batch_and_rate_of_lfm(options, expected):
    run = config(**options)
    assert (run.batch_size, run.lr, run.lr_drop) == expected


def test_the_last_incomplete_batch_is_left_out():
    rows = torch.utils.data.TensorDataset(torch.arange(10))
    assert len(training_loader(rows, 4, 0)[0]) == 3
    assert len(training_loader(rows, 4, 0, whole_batches=True)[0]) == 2


def test_spectrograms_are_padded_with_zeros():
    """A constant: reflected it goes on beyond the ends, padded with zeros it rises there."""
    wave = torch.full((1, 22050), 0.5)
    reflected, zeros = (LogSpectrogram(SpectrogramForm(zero_padded=padded))(wave)[0, 0] for padded in (False, True))
    torch.testing.assert_close(reflected[0, 0], reflected[0, 5])
    assert zeros[0, 0] < zeros[0, 5] - 0.5
    torch.testing.assert_close(zeros[:, 5], reflected[:, 5])
    assert build.spectrogram_of(config()).zero_padded
    assert not build.spectrogram_of(config(recipe="paper")).zero_padded


def test_test_pictures_of_urbansound8k_are_cut_from_256_pixels():
    picture = torch.arange(512, dtype=torch.float32).expand(1, 512, 512)
    whole, cut = evaluation_transform(128)(picture), evaluation_transform(128, 256)(picture)
    assert whole.shape == cut.shape == (1, 128, 128)
    assert whole[0, 0, 0] < 2
    assert cut[0, 0, 0].item() == pytest.approx(128.5, abs=1)
    assert build.released_crop(config(dataset="urbansound8k-av")) == 256
    assert build.released_crop(config(dataset="urbansound8k-av", recipe="paper")) is None
    assert build.released_crop(config()) is None


def test_norm_gains_are_one():
    released = build.encoder_factory(config(network="snn", width=2))(1)
    norms = [m for m in released.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(torch.equal(m.weight, torch.ones_like(m.weight)) for m in norms)
    ours = [m.weight[0].item() for m in iemf_snn.resnet18(1, 2).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert set(ours) == {0.5, 1.0}


def test_the_node_halves_its_input_and_fires_strictly_above_the_threshold():
    """Inputs of 1 bring it to .5, then to .75; those of .5 bring the paper's node to its threshold at once."""

    def spikes(recipe, value):
        encoder = build.encoder_factory(config(network="snn", width=2, recipe=recipe))(1)
        node = next(m for m in encoder.modules() if isinstance(m, iemf_snn.LIFNode))
        return node(torch.full((2, 1), value))[:, 0].tolist()

    assert spikes("released", 1.0) == [0, 1]
    assert spikes("paper", 0.5) == [1, 1]
    assert spikes("released", 0.5) == [0, 0]


def test_a_log_mel_spectrogram_by_choice():
    """Every band hears something; the default is what the published numbers were made with."""
    wave = torch.randn(1, 66150, generator=torch.Generator().manual_seed(0))
    mel = LogSpectrogram(SpectrogramForm("log-mel"))(wave)
    assert tuple(mel.shape[2:]) == SpectrogramForm("log-mel").shape(66150) == (80, 188)
    assert mel.min() > -10
    tone = torch.sin(2 * torch.pi * 1000 / 22050 * torch.arange(66150))[None]
    hertz = 700 * (10 ** (2595 * torch.log10(torch.tensor(1 + 11025 / 700)) / 2595 * torch.arange(1, 81) / 81) - 1)
    band = LogSpectrogram(SpectrogramForm("log-mel"))(tone)[0, 0].mean(1).argmax()
    assert hertz[band].item() == pytest.approx(1000, rel=0.05)
    assert build.spectrogram_of(config(recipe="paper")).kind == "log-stft"
    assert build.spectrogram_of(config(recipe="paper", spectrogram="log-mel")).kind == "log-mel"


def test_ogm_ge_and_mslr_bear_what_cannot_be_slowed_down(make_network, batch):
    """A kernel of one element, whose deviation does not exist, and encoders that are frozen."""
    network = make_network()
    network.audio_encoder.conv = torch.nn.Conv2d(1, 1, 1)
    kernel = network.audio_encoder.conv.weight
    output = network(torch.randn(5, 1, 1, 3), batch[1])
    output.logits.fused.sum().backward()
    METHODS["ogm-ge"](network).on_gradients(output, batch[2], 0)
    assert torch.isfinite(kernel.grad).all()
    for parameter in network.parameters():
        parameter.grad = None
    for name in ("ogm-ge", "mslr"):
        METHODS[name](network).on_gradients(output, batch[2], 0)
