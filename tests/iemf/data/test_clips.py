"""What training sees of a clip: frames spread and jittered, noise at the ratio drawn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iemf.data.audio import SpectrogramForm
from iemf.data.clips import Clips, FrontEnd, View, spread
from iemf.data.noise import CLEAN, Noise


class Film:
    """A clip of ``count`` frames, frame k of grey value k, and one second of a tone; twice."""

    labels = (3, 5)

    def __init__(self, count=30, size=(20, 24)):
        self.count, self.size, self.chosen = count, size, []

    def read(self, index, choose, seconds):
        positions = choose(self.count)
        self.chosen.append(positions)
        frames = torch.tensor(positions, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, *self.size)
        wave = (20000 * torch.sin(torch.arange(22050) / 10)).to(torch.int16)
        return wave, frames


@given(st.integers(1, 100), st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_frames_lie_in_their_part_of_the_clip(count, offsets):
    positions = spread(count, offsets)
    assert positions == sorted(positions)
    assert positions[0] >= 0
    assert positions[-1] < count
    for k, position in enumerate(positions):
        assert int(k * count / len(offsets)) <= position <= (k + 1) * count / len(offsets)


def test_spread_by_hand():
    assert spread(10, [0.5]) == [5]
    assert spread(10, [0.5, 0.5, 0.5]) == [1, 5, 8]
    assert spread(16, [0.5] * 16) == list(range(16))
    assert spread(2, [0.0, 0.0, 0.0, 0.9]) == [0, 0, 1, 1]


@pytest.mark.parametrize("frames", [1, 3, 16])
def test_training_jitters_and_evaluation_does_not(frames):
    film = Film(48)
    train = Clips(film, [0, 1], View(frames, 8, 0.5), training=True)
    for epoch in range(40):
        train.epoch = epoch
        batch = train[0]
        assert batch.visual.shape == ((frames, 3, 8, 8) if frames > 1 else (3, 8, 8))
    seen = {position for positions in film.chosen for position in positions}
    assert len(seen) > 24  # any frame may come, not the middle ones alone
    film.chosen.clear()
    test = Clips(film, [0, 1], View(frames, 8, 0.5), training=False)
    assert test[0].visual.unique().tolist() == [int((k + 0.5) * 48 / frames) for k in range(frames)]
    assert film.chosen[0] == spread(48, [0.5] * frames)
    assert test[1].label == 5


def test_loading_leaves_the_callers_random_numbers_alone():
    train = Clips(Film(), [0], View(1, 8, 0.5), training=True)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _ = train[0]
    assert torch.equal(torch.rand(3), expected)


def measured(clean, noisy):
    """The ratio in dB of the variance of ``clean`` to the power of what was added."""
    clean, noisy = clean.double(), noisy.double()
    return (10 * torch.log10((clean - clean.mean()).square().mean() / (noisy - clean).square().mean())).item()


class Picture(Film):
    """One picture of random pixels."""

    def read(self, index, choose, seconds):
        wave, _ = super().read(index, choose, seconds)
        pixels = torch.randint(0, 256, (1, 3, 64, 64), generator=torch.Generator().manual_seed(index))
        return wave, pixels.to(torch.uint8)


@pytest.mark.parametrize("snr", [-10.0, 0.0, 15.0])
def test_noise_has_the_ratio_asked_for_in_each_modality(snr):
    view = View(1, 64, 1.0)
    clean = Clips(Picture(), [0], view, training=False)[0]
    loud = Clips(Picture(), [0], view, False, noise=Noise(audio=(snr, snr)))[0]
    assert measured(clean.audio.double() / 32767, loud.audio) == pytest.approx(snr, abs=0.2)
    assert torch.equal(loud.visual, clean.visual)
    grainy = Clips(Picture(), [0], view, False, noise=Noise(visual=(snr, snr)))[0]
    assert measured(clean.visual, grainy.visual) == pytest.approx(snr, abs=0.2)
    assert torch.equal(grainy.audio, clean.audio)


def test_noise_is_fixed_in_evaluation_fresh_in_training_and_each_samples_own():
    noise = Noise((-5.0, 5.0), CLEAN)
    fixed = Clips(Picture(), [0, 1], View(1, 64, 1.0), False, seed=1, noise=noise)
    again = Clips(Picture(), [0, 1], View(1, 64, 1.0), False, seed=2, noise=noise)
    assert torch.equal(fixed[0].audio, again[0].audio)
    assert not torch.equal(fixed[0].audio, fixed[1].audio)
    train = Clips(Picture(), [0, 1], View(1, 64, 1.0), True, seed=1, noise=noise)
    first = train[0].audio
    train.epoch = 1
    assert not torch.equal(train[0].audio, first)
    train.epoch = 0
    assert torch.equal(train[0].audio, first)


def test_the_front_end_takes_integers_and_floats_alike():
    front_end = FrontEnd(SpectrogramForm(size=128))
    samples = torch.randint(-32767, 32768, (2, 88200), generator=torch.Generator().manual_seed(0)).to(torch.int16)
    pixels = torch.randint(0, 256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    spectrogram, pictures = front_end(samples, pixels)
    assert spectrogram.shape == (2, 1, 128, 128)
    from_floats = front_end(samples / 32767, pixels.float())
    torch.testing.assert_close(spectrogram, from_floats[0])
    torch.testing.assert_close(pictures, from_floats[1])
    assert FrontEnd()(samples[:, :66150], pixels)[0].shape == (2, 1, 257, 188)
