"""The folder data set: real sound files and images, and what goes wrong with them."""

import shutil

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from iemf.data import audio
from iemf.data.base import evaluation_loader, training_loader
from iemf.data.class_tree import read_tree
from iemf.data.clips import Clips, View
from iemf.data.sets import folder
from iemf.errors import UserError
from tests.conftest import write_clip


def load(root, frames=1, **options):
    return folder.load(root, view=View(frames, 32, 0.5), **options)


def clips(split):
    """The clips of a split."""
    return [split.source.clips[row] for row in split.rows]


def test_splits_classes_and_shapes(tree):
    data = load(tree)
    assert data.classes == ("high", "low")
    assert data.about["clips"] == {"train": 14, "val": 2, "test": 6}  # a tenth of 8, at least one, from each class
    loader, _ = training_loader(data.train, 4, seed=0)
    batch = next(iter(loader))
    assert batch.audio.shape == (4, 11025)
    assert batch.visual.shape == (4, 3, 32, 32)
    spectrogram, image = data.front_end(batch.audio, batch.visual)
    assert spectrogram.shape == (4, 1, 257, 11025 // 353 + 1)
    assert image.shape == (4, 3, 32, 32)


def test_the_validation_split_has_a_seed_of_its_own_and_is_disjoint(tree):
    """The run's seed does not move it: a spread over seeds is not one of splits."""
    names = [{clip.sound for clip in clips(load(tree, split_seed=seed).val)} for seed in (0, 0, 1, 2, 3)]
    assert names[0] == names[1]
    assert all({clip.sound for clip in clips(load(tree, seed=seed).val)} == names[0] for seed in range(4))
    assert len({frozenset(n) for n in names}) > 1
    data = load(tree)
    assert not {c.sound for c in clips(data.train)} & {c.sound for c in clips(data.val)}


def test_a_given_validation_split_is_used(tree):
    write_clip(tree / "val" / "high", "x", 1, 1600.0)
    write_clip(tree / "val" / "low", "y", 2, 300.0)
    assert load(tree).about["clips"] == {"train": 16, "val": 2, "test": 6}


def test_frames_of_a_clip_are_picked_evenly(tree):
    sound = tree / "train" / "high" / "film.wav"
    shutil.copy(tree / "train" / "high" / "clip 0 é.wav", sound)
    sound.with_suffix("").mkdir()
    for i in range(6):
        Image.new("RGB", (20, 20), (40 * i, 0, 0)).save(sound.with_suffix("") / f"frame_{i}.png")
    clip = next(c for c in clips(load(tree).train) + clips(load(tree).val) if c.sound == sound)
    batch = Clips(folder.Files([clip]), [0], View(3, 16, 0.5), training=False)[0]
    assert batch.visual.shape == (3, 3, 16, 16)
    assert batch.visual[:, 0, 0, 0].tolist() == [40, 120, 200]  # frames 1, 3, 5
    data = load(tree, frames=2)
    assert next(iter(evaluation_loader(data.test, 2))).visual.shape == (2, 2, 3, 32, 32)


def test_augmentation_is_of_seed_epoch_and_sample_alone(tree):
    def pictures(seed, epoch, workers=0):
        data = load(tree, seed=seed)
        data.set_epoch(epoch)
        return torch.cat([batch.visual for batch in evaluation_loader(data.train, 3, workers)])

    first = pictures(0, 0)
    torch.rand(5)  # whatever else drew random numbers
    assert torch.equal(pictures(0, 0), first)
    assert torch.equal(pictures(0, 0, workers=2), first)
    assert not torch.equal(pictures(0, 1), first)
    data = load(tree)
    assert torch.equal(data.test[0].visual, data.test[0].visual)
    data.set_epoch(5)
    assert torch.equal(data.test[0].visual, load(tree).test[0].visual)
    for split in (data.val, data.test):  # resized, not cropped
        plain = Clips(split.source, split.rows, View(1, 32, 0.5), training=False)
        assert torch.equal(split[0].visual, plain[0].visual)


def test_suffixes_of_any_case_and_frames_in_natural_order(tree):
    picture = tree / "train" / "high" / "clip 0 é.png"
    picture.rename(picture.with_suffix(".PNG"))
    frames = tree / "train" / "high" / "clip 1 é"
    frames.mkdir()
    frames.with_suffix(".png").unlink()
    for i in (10, 2, 1):
        Image.new("RGB", (8, 8)).save(frames / f"frame_{i}.png")
    by_name = {clip.id: clip for clip in read_tree(tree).splits["train"] if clip.label == 0}
    assert [p.name for p in by_name["clip 0 é"].images] == ["clip 0 é.PNG"]
    assert [p.stem for p in by_name["clip 1 é"].images] == ["frame_1", "frame_2", "frame_10"]


def test_spectrogram_of_three_seconds_and_a_known_tone():
    time = torch.arange(66150) / 22050
    tone = 1000.0
    spectrogram = audio.LogSpectrogram()(torch.sin(2 * torch.pi * tone * time)[None])
    assert spectrogram.shape == (1, 1, 257, 188)
    assert spectrogram[0, 0, :, 94].argmax().item() == round(tone * 512 / 22050)
    silence = audio.LogSpectrogram()(torch.zeros(1, 66150))
    torch.testing.assert_close(silence, torch.full_like(silence, float(np.log(1e-7))))


def test_sound_is_resampled_mixed_and_fitted(tmp_path):
    time = np.arange(16000) / 16000
    stereo = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros(16000)], axis=1).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", stereo, 16000)
    wave = audio.read(tmp_path / "a.wav")
    assert len(wave) == 22050
    assert wave.abs().max().item() == pytest.approx(0.5, abs=0.02)
    assert audio.fit(torch.tensor([2.0, -0.5]), 5).tolist() == [1, -0.5, 1, -0.5, 1]
    assert audio.fit(torch.arange(5.0) / 10, 2).tolist() == [0, pytest.approx(0.1)]


def break_tree(tree, kind):
    """Damage the tree; the words the message must hold."""
    high = tree / "train" / "high"
    if kind == "no such folder":
        shutil.rmtree(tree)
        return "is not a folder"
    if kind == "one class":
        shutil.rmtree(tree / "train" / "low")
        return "1 class folder"
    if kind == "empty class":
        shutil.rmtree(high)
        high.mkdir()
        return "holds no sound file"
    if kind == "no test":
        shutil.rmtree(tree / "test")
        return "test.* is missing"
    if kind == "stranger in test":
        shutil.copytree(tree / "test" / "high", tree / "test" / "middle")
        return "middle.* is not a class of train"
    if kind == "broken sound":
        (high / "clip 3 é.wav").write_bytes(b"not a sound")
        return "clip 3 é.wav cannot be read as sound"
    if kind == "empty sound":
        soundfile.write(high / "clip 3 é.wav", np.zeros(0, np.float32), 16000)
        return "clip 3 é.wav holds no sound"
    if kind == "broken image":
        (high / "clip 2 é.png").write_bytes(b"not an image")
        return "clip 2 é.png cannot be read as an image"
    if kind == "missing image":
        (high / "clip 2 é.png").unlink()
        return "clip 2 é.wav has no image"
    raise AssertionError(kind)


KINDS = ["no such folder", "one class", "empty class", "no test", "stranger in test", "broken sound", "empty sound",
         "broken image", "missing image"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_tree_is_refused_by_name(tree, kind):
    message = break_tree(tree, kind)
    with pytest.raises(UserError, match=message):
        load(tree)


def test_a_truncated_image_is_named_when_it_is_read(tree):
    path = tree / "test" / "low" / "clip 0 é.png"
    path.write_bytes(path.read_bytes()[:200])
    data = load(tree)
    with pytest.raises(UserError, match=r"clip 0 é\.png cannot be read as an image"):
        list(evaluation_loader(data.test, 2))
