"""A minute of film: frame and sound of each second, and the files that keep their features."""

import math

import numpy as np
import pytest
import torch

from iemf.errors import UserError
from iemf.features import minutes
from iemf.features.minutes import read_minute
from tests.media import write_video


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
