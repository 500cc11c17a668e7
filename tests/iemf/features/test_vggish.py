"""VGGish: its layers by their count of parameters, its log-mel patches by hand, its weights from a file."""

import math

import pytest
import torch

from iemf.errors import UserError
from iemf.features import vggish
from iemf.features.vggish import LogMel, VGGish


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return VGGish().eval()


def test_every_layer_has_the_papers_parameters(network):
    """Convolutions: 9 * in * out + out; linear: in * out + out."""
    convolutions = [(1, 64), (64, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    linear = [(512 * 6 * 4, 4096), (4096, 4096), (4096, 128)]
    expected = [9 * a * b + b for a, b in convolutions] + [a * b + b for a, b in linear]
    layers = [module for module in network.modules() if not list(module.children()) and list(module.parameters())]
    assert [sum(p.numel() for p in layer.parameters()) for layer in layers] == expected
    assert sum(expected) == 72_141_184


def test_a_minute_becomes_sixty_embeddings(network):
    patches = LogMel()(torch.randn(60 * 16000), 60)
    assert patches.shape == (60, 1, 96, 64)
    with torch.no_grad():
        embeddings = network(patches[:2])
    assert embeddings.shape == (2, 128)
    assert embeddings.min() == 0  # a ReLU ends it
    assert embeddings.max() > 0


def test_short_sound_ends_in_silence_and_long_sound_is_cut():
    sound = torch.randn(16000 + 500)
    patches = LogMel()(sound, 3)
    assert torch.allclose(patches[2], torch.tensor(math.log(0.01)), atol=1e-4)
    assert not torch.allclose(patches[1], patches[2])
    assert torch.equal(LogMel()(torch.cat([sound, torch.randn(48000)])[: 3 * 16000], 1), LogMel()(sound, 1))


def test_frames_begin_every_ten_milliseconds():
    """A click at sample 1600 is in the frames that begin from 1600 - 399 to 1600: frames 8 (from 1280) to 10."""
    click = torch.zeros(16000)
    click[1600] = 1.0
    loud = (LogMel()(click, 1)[0, 0] > math.log(0.011)).any(1).nonzero()[:, 0].tolist()
    assert loud == [8, 9]  # frame 10 begins with the click, where Hann's window is zero


def test_a_tone_is_loudest_in_its_own_band():
    """1 kHz is 1000.0 mel (HTK); 64 bands between 185 and 2778 mel lie 39.9 mel apart."""
    low, high = (1127 * math.log(1 + f / 700) for f in (125, 7500))
    band = round((1127 * math.log(1 + 1000 / 700) - low) / ((high - low) / 65)) - 1
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    assert LogMel()(tone, 1)[0, 0].mean(0).argmax() == band


def test_mel_weights_are_triangles_in_mel():
    weights = vggish.mel_weights()
    assert weights.shape == (257, 64)
    assert weights[0].sum() == 0
    assert (weights >= 0).all()
    assert (weights <= 1).all()
    bins = 1127 * torch.log1p(torch.arange(257) * 31.25 / 700)
    step = (1127 * math.log(1 + 7500 / 700) - 1127 * math.log(1 + 125 / 700)) / 65
    centre = 1127 * math.log(1 + 125 / 700) + 21 * step  # of band 20
    assert torch.allclose(weights[:, 20], (1 - (bins - centre).abs() / step).clamp(min=0), atol=1e-4)


def test_weights_from_a_file(tmp_path, network):
    state = network.state_dict() | {"pproc.pca_means": torch.zeros(128, 1)}
    torch.save(state, tmp_path / "vggish.pth")
    loaded = vggish.load(tmp_path / "vggish.pth")
    x = torch.randn(1, 1, 96, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth is no VGGish"):
        vggish.load(tmp_path / "other.pth")
    (tmp_path / "bad.pth").write_bytes(b"no")
    with pytest.raises(UserError, match=r"bad\.pth holds no readable weights"):
        vggish.load(tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"none\.pth is no file"):
        vggish.load(tmp_path / "none.pth")
