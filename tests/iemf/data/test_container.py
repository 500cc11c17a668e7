"""What a container shows and when: edit lists, rates that vary, tracks that begin late, several tracks."""

import av
import numpy as np
import pytest
from av.stream import Disposition

from iemf.data import audio, container, video
from iemf.data.container import MediaWarning
from iemf.errors import UserError
from tests.media import cut, tone, write_timed


def grey(frame):
    return float(frame.mean())


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """20 s of 10 pictures a second, grey 10 t, a keyframe every 5 s; a tone from 8 s on."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_timed(path, np.arange(200) / 10, (8.0, 20.0))
    return path


@pytest.mark.parametrize("begin", [5.0, 5.2, 7.3, 9.9])
def test_a_clip_cut_without_encoding_shows_what_it_shows(film, tmp_path, begin):
    """Up to 4.9 s before the first picture lie in the file, hidden: 149 pictures, of which 100 are shown."""
    clip = tmp_path / "k.mp4"
    cut(film, clip, begin, 10)
    line = container.timeline(clip)
    assert len(line.begins) == 100
    assert (line.begins[0], line.end) == pytest.approx((0, 10), abs=0.03)
    frames = video.frames(clip, lambda count: [0, count // 2, count - 1])
    assert [grey(frame) for frame in frames] == pytest.approx([10 * begin + k for k in (0, 50, 99)], abs=1.5)
    sound = audio.read(clip, seconds=9.9).abs() > 0.1
    assert sound.nonzero()[0].item() / 22050 == pytest.approx(max(0.0, 8 - begin), abs=0.03)


def test_a_cut_clip_that_is_truncated_is_refused(film, tmp_path):
    cut(film, tmp_path / "k.mp4", 7.3, 10)
    with (
        av.open(str(tmp_path / "k.mp4")) as source,
        av.open(str(tmp_path / "front.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = (tmp_path / "front.mp4").read_bytes()
    (tmp_path / "front.mp4").write_bytes(data[: int(0.7 * len(data))])
    with pytest.raises(UserError, match=r"front\.mp4 (is truncated|cannot be decoded|breaks off)"):
        video.frames(tmp_path / "front.mp4", lambda count: [0, count - 1])


@pytest.mark.parametrize("kind", [".mp4", ".mkv", ".flv"])
def test_frames_of_a_varying_rate_are_chosen_by_time(tmp_path, kind):
    """20 pictures in the first 2 s, then one a second: amid quarters of 10 s lie 1.25, 3.75, 6.25 and 8.75 s."""
    path = tmp_path / f"x{kind}"
    write_timed(path, [*np.arange(20) / 10, *range(2, 10)], (0.0, 10.0), bright=25)
    parts = (np.arange(4) + 0.5) / 4
    line = container.timeline(path)
    frames = video.frames_at(path, line, parts * 10)
    assert [grey(frame) for frame in frames] == pytest.approx([25 * t for t in (1.2, 3.0, 6.0, 8.0)], abs=2)
    if kind == ".mp4":  # the others do not say how long the last picture stays
        spread = video.frames(path, lambda count: (parts * count).astype(int).tolist())
        assert [grey(frame) for frame in spread] == pytest.approx([25 * t for t in (1.2, 3.0, 6.0, 8.0)], abs=2)


@pytest.mark.parametrize("kind", [".mp4", ".mkv", ".flv"])
def test_tracks_share_one_clock(tmp_path, kind):
    path = tmp_path / f"pictures{kind}"
    write_timed(path, 5 + np.arange(50) / 10, (0.0, 10.0))
    line = container.timeline(path)
    assert (line.begins[0], line.end, *line.sound) == pytest.approx((5, 10, 0, 10), abs=0.06)
    frames = video.frames_at(path, line, [0.5, 7.55, 12.0])
    assert [grey(frame) for frame in frames] == pytest.approx([50, 75, 99], abs=1.5)
    assert grey(video.frames(path, lambda count: [count // 2])[0]) == pytest.approx(75, abs=1.5)
    path = tmp_path / f"sound{kind}"
    write_timed(path, np.arange(100) / 10, (4.0, 10.0))
    for seconds in (None, 6.0, 3.0):
        sound = audio.read(path, seconds=seconds)
        assert len(sound) == pytest.approx(22050 * (seconds or 10.0), abs=1500)
        assert (sound[: 22050 * 39 // 10] == 0).all()
        assert (sound[22050 * 41 // 10 :: 5].abs() > 0.2).float().mean() > 0.5 or seconds == 3.0


@pytest.mark.parametrize("default", [None, 0, 1])
def test_of_several_sound_tracks_the_default_is_read_and_said(tmp_path, default):
    """The first is silent; unmarked, FFmpeg chooses, here the first, as it knows no difference."""
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w", options={"default_mode": "passthrough"}) as file:
        tracks = [file.add_stream("aac", rate=44100, layout="mono") for _ in range(2)]
        for number, track in enumerate(tracks):
            track.disposition = Disposition.default if number == default else Disposition(0)
        for number, track in enumerate(tracks):
            frame = av.AudioFrame.from_ndarray(number * tone(2, 440)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 0
            file.mux(track.encode(frame))
            file.mux(track.encode())
    read = default or 0
    why = "none is marked as default" if default is None else "marked as default"
    with pytest.warns(MediaWarning, match=rf"two\.mkv has 2 tracks of sound; number {read + 1} is read \({why}\)"):
        sound = audio.read(path)
    assert (sound.abs().max() > 0.4) == (read == 1)


def test_a_picture_of_more_pixels_than_8k_has_is_not_decoded(film, monkeypatch):
    """A header can claim two billion; memory would be taken for all of them."""
    monkeypatch.setattr(container, "MOST_PIXELS", 64 * 48 - 1)
    with pytest.raises(UserError, match=r"film\.mp4 cannot be decoded"):
        video.frames(film, lambda count: [0])
    monkeypatch.setattr(container, "MOST_PIXELS", 128 * 128)  # with the margin that FFmpeg reckons with
    assert len(video.frames(film, lambda count: [0])) == 1
