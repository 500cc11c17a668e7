"""AV-Digits with scans: a third real modality."""

import pytest
import torch

from iemf.data.base import MultimodalBatch, evaluation_loader, training_loader
from iemf.data.noise import CLEAN, Noise
from iemf.data.sets import av_digits, av_digits_scan


@pytest.fixture(scope="module")
def data():
    return av_digits_scan.load(seed=3, test_noise=Noise((0.0, 0.0), (5.0, 6.0)))


def test_sizes_and_a_batch_of_three(data):
    assert [len(split) for split in (data.train, data.val, data.test)] == [900, 280, 560]
    assert data.channels == {"audio": 1, "visual": 1, "scan": 1}
    loader, _ = training_loader(data.train, 32, seed=0)
    batch = next(iter(loader))
    assert [x.shape for x in batch.inputs] == [(32, 1, 32, 32)] * 3
    audio, visual, label = av_digits.load().train.__getitems__([0, 1])  # two modalities are a triple as ever
    assert audio.shape == visual.shape == (2, 1, 32, 32)
    assert label.shape == (2,)


def test_triples_agree_in_digit_and_nothing_is_used_twice():
    digits = [av_digits.load_sounds()[1], av_digits.load_images()[1], av_digits_scan.load_scans()[1]]
    splits = av_digits_scan.triples(*digits)
    for split, rows in splits.items():
        labels = [of[row] for of, row in zip(digits, rows, strict=True)]
        assert torch.equal(labels[0], labels[1])
        assert torch.equal(labels[0], labels[2])
        assert torch.bincount(labels[0]).tolist() == [av_digits_scan.SPLIT_PER_DIGIT[split]] * 10
    for part in range(3):
        everything = torch.cat([rows[part] for rows in splits.values()])
        assert len(everything.unique()) == 1740


def test_scans_have_the_noise_of_the_images_and_their_own_draws(data):
    scan, visual = data.test.snr["scan"], data.test.snr["visual"]
    for ratios in (scan, visual):
        assert ratios.min() >= 5
        assert ratios.max() <= 6
    assert not torch.equal(scan, visual)
    assert data.test.snr["audio"].eq(0).all()
    clean = av_digits_scan.load(noise=Noise(CLEAN, CLEAN))
    torch.testing.assert_close(clean.train.noisy["scan"], clean.train.clean["scan"])


@pytest.mark.parametrize("as_batches", [True, False])
def test_samples_one_by_one_make_batches_too(as_batches):
    samples = [
        (torch.full((1, 2), i), torch.full((1, 2, 2), i), torch.tensor(i), torch.full((3,), i)) for i in range(4)
    ]
    if as_batches:
        samples = [MultimodalBatch((audio, visual, further), label) for audio, visual, label, further in samples]
    batch = next(iter(evaluation_loader(samples, 4)))
    assert [x.shape for x in batch.inputs] == [(4, 1, 2), (4, 1, 2, 2), (4, 3)]
    assert batch.inputs[2][:, 0].tolist() == batch.label.tolist() == [0, 1, 2, 3]
