"""Real encoded videos: which frames come, and what is said of damaged ones."""

import av
import numpy as np
import pytest
import torch

from iemf.data import audio, container, video
from iemf.errors import UserError
from tests.media import CODECS, tone, write_video


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


def test_a_film_is_upright_as_its_header_says(tmp_path):
    """A camera held sideways writes a turn of 90 degrees clockwise: the top left belongs at the top right."""
    path = tmp_path / "held.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        pixels = np.zeros((48, 64, 3), np.uint8)
        pixels[:24, :32] = 255
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())

    def matrix(*values):
        return b"".join(int(value * 65536).to_bytes(4, "big", signed=True) for value in values) + b"\x40\0\0\0"

    data = path.read_bytes()
    track = data.index(b"tkhd")
    upright, turned = matrix(1, 0, 0, 0, 1, 0, 0, 0), matrix(0, 1, 0, -1, 0, 0, 0, 0)
    path.write_bytes(data[:track] + data[track:].replace(upright, turned, 1))
    frame = video.frames(path, lambda _: [0])[0]
    assert frame.shape == (64, 48, 3)
    quadrants = [frame[:32, :24], frame[:32, 24:], frame[32:, :24], frame[32:, 24:]]
    assert [quadrant.mean() > 128 for quadrant in quadrants] == [False, True, False, False]


def test_a_film_that_changes_size_gives_frames_of_one_size(tmp_path):
    for name, size in (("a", (64, 48)), ("b", (96, 80))):
        with av.open(str(tmp_path / f"{name}.ts"), "w", format="mpegts") as file:
            stream = file.add_stream("mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for _ in range(10):
                pixels = np.zeros((size[1], size[0], 3), np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            file.mux(stream.encode())
    joined = tmp_path / "joined.mpg"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert {frame.shape for frame in video.frames(joined, lambda count: list(range(count)))} == {(48, 64, 3)}


def test_an_avi_that_repeats_frames_is_whole(tmp_path):
    """Every other frame dropped, as recorders do when nothing moves."""
    path = tmp_path / "dropped.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * i, np.uint8), format="rgb24")
            frame.pts = 2 * i
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert len(container.timeline(path).begins) == 20


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
    path = tmp_path / "dark.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1, 440)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with pytest.raises(UserError, match=r"dark\.mp4 holds no pictures"):
        container.timeline(path)
    assert len(audio.read(path)) > 22000
