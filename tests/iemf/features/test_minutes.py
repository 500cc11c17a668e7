"""A minute of film: frame and sound of each second, and the files that keep their features."""

import math

import numpy as np
import pytest
import torch

from iemf.data.container import MediaWarning
from iemf.errors import UserError
from iemf.features import minutes
from iemf.features.minutes import read_minute
from tests.media import write_timed, write_video


def test_each_second_has_its_frame_and_its_sound(tmp_path):
    """A film that brightens from black to white in four seconds: seconds 0 to 3, then its last frame and silence."""
    write_video(tmp_path / "a.mp4", seconds=4, size=(64, 32))
    minute = read_minute(tmp_path / "a.mp4", seconds=6, side=32)
    assert minute.frames.shape == (6, 3, 32, 32)
    assert minute.frames.dtype == torch.uint8
    red = minute.frames[:, 0].float().mean((1, 2))
    assert torch.allclose(red[:4], torch.tensor([0.125, 0.375, 0.625, 0.875]) * 255, atol=12)
    assert red[4] == red[5] >= 240
    level = minute.sound.mean((1, 2, 3))
    assert (level[:4] > level[5] + 1).all()
    assert level[5] == pytest.approx(math.log(0.01), abs=1e-3)


def test_a_film_without_sound_is_named(tmp_path):
    write_video(tmp_path / "mute.mp4", pitch=None)
    with pytest.raises(UserError, match=r"mute\.mp4 holds no sound"):
        read_minute(tmp_path / "mute.mp4")


def test_features_lie_where_the_public_ones_do(tmp_path):
    assert not minutes.is_done(tmp_path, "v1")
    minutes.write(tmp_path, "v1", {"audio": np.ones((2, 128)), "visual": np.ones((2, 4, 3, 3), np.float16)})
    assert minutes.is_done(tmp_path, "v1")
    assert np.load(tmp_path / "vggish" / "v1.npy").dtype == np.float32
    assert np.load(tmp_path / "res18_14x14" / "v1.npy").shape == (2, 4, 3, 3)
    (tmp_path / "vggish" / "v1.npy").unlink()
    assert not minutes.is_done(tmp_path, "v1")


def seconds_of(minute, bright):
    """The time that each frame shows, by its grey."""
    return [level / bright for level in minute.frames.float().mean((1, 2, 3)).tolist()]


def test_frames_of_a_varying_rate_are_those_of_their_second(tmp_path):
    """20 pictures in the first 2 s, then one a second, at whole seconds."""
    write_timed(tmp_path / "a.mp4", [*np.arange(20) / 10, *range(2, 10)], (0.0, 10.0), bright=25)
    minute = read_minute(tmp_path / "a.mp4", seconds=10, side=32)
    assert seconds_of(minute, 25) == pytest.approx([0.5, 1.5, *range(2, 10)], abs=0.1)


def test_pictures_of_half_the_sound_are_not_stretched(tmp_path):
    write_timed(tmp_path / "a.mp4", np.arange(60) / 10, (0.0, 12.0), bright=20)
    with pytest.warns(MediaWarning, match=r"a\.mp4 shows pictures in 6 of 12 s; the nearest stands for the others"):
        minute = read_minute(tmp_path / "a.mp4", seconds=14, side=32)
    assert seconds_of(minute, 20) == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5, 5.5, *[5.9] * 8], abs=0.1)
    heard = minute.sound.mean((1, 2, 3)) > math.log(0.01) + 1
    assert heard.tolist() == [True] * 12 + [False] * 2


def test_sound_and_pictures_that_begin_late_keep_their_seconds(tmp_path):
    write_timed(tmp_path / "pictures.mp4", 4 + np.arange(60) / 10, (0.0, 10.0), bright=25)
    with pytest.warns(MediaWarning, match=r"pictures\.mp4 shows pictures in 6 of 10 s"):
        minute = read_minute(tmp_path / "pictures.mp4", seconds=10, side=32)
    assert seconds_of(minute, 25) == pytest.approx([4, 4, 4, 4, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5], abs=0.1)
    write_timed(tmp_path / "sound.mp4", np.arange(100) / 10, (4.0, 10.0), bright=25)
    with pytest.warns(MediaWarning, match=r"sound\.mp4 has sound in 6 of 10 s; silence stands for the others"):
        minute = read_minute(tmp_path / "sound.mp4", seconds=10, side=32)
    assert (minute.sound.mean((1, 2, 3)) > math.log(0.01) + 1).tolist() == [False] * 4 + [True] * 6


@pytest.mark.parametrize(("pictures", "sound", "words"), [(4, 10, "shows pictures"), (10, 4, "has sound")])
def test_a_film_of_which_more_than_half_is_missing_is_refused(tmp_path, pictures, sound, words):
    write_timed(tmp_path / "a.mp4", np.arange(10 * pictures) / 10, (0.0, sound))
    with pytest.raises(UserError, match=rf"a\.mp4 {words} in 4 of 10 s only; repair or remove it"):
        read_minute(tmp_path / "a.mp4", seconds=20, side=32)
