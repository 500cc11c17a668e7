"""Real encoded videos: which frames come, and what is said of damaged ones."""

import numpy as np
import pytest
import torch

from iemf.data import audio, video
from iemf.errors import UserError
from tests.media import CODECS, write_video


@pytest.fixture(params=sorted(CODECS))
def film(request, tmp_path):
    """Two seconds, 40 frames from black to white, 440 Hz."""
    path = tmp_path / f"film ü{request.param}"
    write_video(path, 2.0)
    return path


def test_chosen_frames_come_in_the_order_chosen(film):
    counts = []
    frames = video.frames(film, lambda count: counts.append(count) or [count - 1, 0, count // 2, 0])
    assert counts == [40]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    brightness = [frame[..., 0].mean() for frame in frames]
    assert brightness == pytest.approx([255, 0, 255 * 20 / 39, 0], abs=15)


def test_only_long_short_sides_are_shrunk(film):
    assert video.frames(film, lambda _: [0], short_side=24)[0].shape == (24, 32, 3)
    assert video.frames(film, lambda _: [0], short_side=100)[0].shape == (48, 64, 3)


def test_sound_of_a_film_is_its_tone_at_our_rate(film):
    wave = audio.read(film, seconds=1.5)
    assert wave.shape == (round(1.5 * 22050),)
    spectrum = torch.fft.rfft(wave[4410:26460]).abs()
    assert spectrum.argmax().item() * 22050 / 22050 == pytest.approx(440, abs=2)
    assert 2.0 <= len(audio.read(film)) / 22050 < 2.15  # codecs pad


def test_a_film_as_it_was_held(tmp_path, monkeypatch):
    """A frame marked as turned by 90 degrees comes upright."""

    class Turned:
        height, width, rotation = 2, 3, 90

        def to_ndarray(self, **_):
            return np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

    upright = video._rgb(Turned(), None)
    assert upright.shape == (3, 2, 3)
    assert upright[0, 0].tolist() == [6, 7, 8]  # what was at the right is at the top


@pytest.mark.parametrize("share", [0.6, 0.3, 0.02])
def test_a_truncated_film_is_refused(film, share):
    film.write_bytes(film.read_bytes()[: int(share * film.stat().st_size)])
    with pytest.raises(UserError, match=r"film ü\.\w+ (is truncated|cannot be decoded|breaks off|holds)"):
        video.frames(film, lambda count: [0, count - 1])


def test_what_is_no_film_or_lacks_a_track(tmp_path):
    with pytest.raises(UserError, match="cannot be decoded"):
        video.check(tmp_path / "missing.mp4")
    (tmp_path / "text.avi").write_text("once upon a time")
    with pytest.raises(UserError, match=r"text\.avi cannot be decoded"):
        video.frames(tmp_path / "text.avi", lambda _: [0])
    write_video(tmp_path / "mute.mp4", pitch=None)
    video.check(tmp_path / "mute.mp4")
    with pytest.raises(UserError, match=r"mute\.mp4 holds no sound"):
        audio.read(tmp_path / "mute.mp4")


def test_sound_in_a_film_without_pictures(tmp_path):
    import av

    from tests.media import tone

    path = tmp_path / "dark.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1, 440)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UserError, match=r"dark\.mp4 holds no pictures"):
        video.frame_count(path)
    assert len(audio.read(path)) > 22000
