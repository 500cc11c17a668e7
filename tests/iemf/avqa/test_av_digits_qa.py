"""Scenes as features: the right digits at the right places and steps, under noise, and splits that share nothing."""

import numpy as np
import pytest
import torch

from iemf.avqa import av_digits_qa as qa
from iemf.avqa.digit_scenes import PLACES, STEPS
from iemf.data.noise import Noise
from iemf.data.sets import av_digits
from iemf.errors import UserError

COUNTS = {"train": 4, "val": 3, "test": 3}


def flat(x):
    """An encoder that keeps everything."""
    return x.flatten(1)


@pytest.fixture(scope="module")
def pairs():
    return av_digits.load(noise=Noise()).test


def digit_of(features, clean, labels):
    """Of the clean sample that a noiseless feature is."""
    found = (clean.flatten(1)[None] - features[:, None]).square().sum(2).argmin(1)
    return labels[found]


def test_features_are_of_the_scenes_digits(pairs, monkeypatch):
    monkeypatch.setattr(qa, "NOISE", Noise())
    named = [scene for _, scene in qa.scenes("test", 3)]
    size = 32 * 32
    audio, visual = (
        torch.from_numpy(part).float() for part in qa.encode(named, pairs, (flat, flat), torch.Generator(), at_once=2)
    )
    assert audio.shape == (3, STEPS, size + STEPS)
    assert visual.shape == (3, STEPS, 5 * size + STEPS, 2, 2)
    assert torch.equal(audio[..., size:], torch.eye(STEPS).expand(3, -1, -1))
    assert torch.equal(visual[:, :, 5 * size :, 1, 0], torch.eye(STEPS).expand(3, -1, -1))
    for number, scene in enumerate(named):
        for step, digit in enumerate(scene.spoken):
            if digit is not None:
                heard = audio[number, step : step + 1, :size]
                assert digit_of(heard, pairs.clean["audio"], pairs.labels) == digit
        for place, digit in enumerate(scene.seen):
            row, column = divmod(place, 2)
            what = visual[number, :, :size, row, column]
            blocks = visual[number, :, size : 5 * size, row, column].unflatten(1, (len(PLACES), size))
            assert torch.equal(blocks[:, place], what)
            assert not blocks[:, [other for other in range(4) if other != place]].any()
            if digit is not None:
                assert (digit_of(what, pairs.clean["visual"], pairs.labels) == digit).all()
                assert (what == what[0]).all()  # one image through all steps


def test_noise_is_fresh_at_every_step_and_of_the_scenes_ratio(pairs):
    named = [scene for _, scene in qa.scenes("test", 2)]
    _, visual = qa.encode(named, pairs, (flat, flat), torch.Generator())
    place = next(place for place, digit in enumerate(named[0].seen) if digit is not None)
    views = visual[0, :, :1024, place // 2, place % 2].astype(np.float32)
    assert np.abs(views[0] - views[1]).max() > 0.1
    correlation = np.corrcoef(views)[np.triu_indices(STEPS, 1)]
    # Two views at a ratio of r share r / (1 + r) of their variance; between -5 and 10 dB that is 0.24 to 0.91.
    assert 0.2 < correlation.mean() < 0.95
    assert correlation.std() < 0.1


def test_nothing_is_noise_of_unit_variance(pairs):
    generator = torch.Generator().manual_seed(0)
    seen = qa.noisy(pairs.clean["visual"], torch.tensor([-1, 0]), torch.tensor([float("inf")] * 2), generator)
    torch.testing.assert_close(seen[1], pairs.clean["visual"][0])
    torch.testing.assert_close(seen[0].square().mean(), torch.tensor(1.0))
    rows = qa.choose(torch.tensor([3, -1, 9]), pairs.labels, generator)
    assert rows[1] == -1
    assert pairs.labels[rows[[0, 2]]].tolist() == [3, 9]


def make(folder, counts=COUNTS):
    folder.mkdir()
    told = []
    small = lambda x: x.flatten(1)[:, ::100]  # noqa: E731
    qa.make(folder, (small, small), counts, told.append)
    return sum(told)


def test_what_is_made_is_read_the_same_and_again_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(qa, "SCENES", COUNTS)
    assert make(tmp_path / "a") == 10
    make(tmp_path / "b")
    a, b = (qa.load(tmp_path / name) for name in "ab")
    assert a.about["digest"] == b.about["digest"]
    assert (a.audio_size, a.visual_size) == (11 + 10, 5 * 11 + 10)
    videos = [set(split.video_of) for split in (a.train, a.val, a.test)]
    assert [len(part) for part in videos] == [4, 3, 3]
    batch = a.val.__getitems__([0, len(a.val) - 1])
    assert batch.audio.shape == (2, 10, 21)
    assert batch.video.tolist() == [0, 2]
    scenes = [scene for _, scene in qa.scenes("train", 4)]
    assert scenes != [scene for _, scene in qa.scenes("test", 4)]


def test_a_damaged_file_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(qa, "SCENES", COUNTS)
    make(tmp_path / "a")
    path = tmp_path / "a" / "val.npz"
    whole = path.read_bytes()
    np.savez(path, audio=np.zeros((1, 10, 21)), visual=np.zeros((1, 10, 65, 2, 2)))
    with pytest.raises(UserError, match=r"val\.npz cannot be read \(1 scenes\)"):
        qa.load(tmp_path / "a")
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"val\.npz cannot be read"):
        qa.load(tmp_path / "a")
    path.write_bytes(whole[:200])
    with pytest.raises(UserError, match=r"val\.npz cannot be read .* remove .*a, it is made anew"):
        qa.load(tmp_path / "a")
    path.unlink()
    with pytest.raises(UserError, match=r"val\.npz cannot be read"):
        qa.load(tmp_path / "a")
    (tmp_path / "a" / "json" / "avqa-test.json").unlink()
    with pytest.raises(UserError, match=r"avqa-test\.json is missing; remove .*a, it is made anew"):
        qa.load(tmp_path / "a")


def test_a_picture_shows_the_scenes_digits(pairs, monkeypatch):
    """Those whose features are learnt from: without noise, pixel by pixel."""
    monkeypatch.setattr(qa, "NOISE", Noise())
    picture = torch.from_numpy(qa.picture("test", COUNTS, 1))
    named = [scene for _, scene in qa.scenes("test", 3)]
    _, visual = qa.encode(named, pairs, (flat, flat), qa._generator("test"))
    for place, digit in enumerate(named[1].seen):
        if digit is not None:
            row, column = divmod(place, 2)
            shown = picture[32 * row : 32 * row + 32, 32 * column : 32 * column + 32].flatten()
            torch.testing.assert_close(
                torch.from_numpy(visual[1, 0, :1024, row, column]).float(), shown, atol=2e-3, rtol=1e-3
            )


def test_a_picture_bears_the_step_that_it_is_shown_at():
    """Else its step would give away a picture of another second."""
    visual = np.random.default_rng(0).normal(size=(3, STEPS, 5 + STEPS, 2, 2)).astype(np.float16)
    visual[:, :, 5:] = np.eye(STEPS)[None, :, :, None, None]
    features = qa.SteppedFeatures(np.zeros((3, STEPS, 4), np.float16), visual)
    before = visual.copy()
    found = features.pictures(np.array([2, 0]), np.array([7, 1]), np.array([3, 1]))
    np.testing.assert_array_equal(found[0, :5], visual[2, 7, :5])
    np.testing.assert_array_equal(found[0, 5:], visual[2, 3, 5:])
    np.testing.assert_array_equal(found[1], visual[0, 1])
    np.testing.assert_array_equal(visual, before)
