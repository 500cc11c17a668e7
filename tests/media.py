"""Real media files for tests: videos with sound, small trees in the official layouts."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

CODECS = {".flv": ("flv", "libmp3lame"), ".mp4": ("libx264", "aac"), ".avi": ("mpeg4", "libmp3lame")}


def tone(seconds: float, pitch: float, rate: int = 44100) -> np.ndarray:
    """float32 [n], amplitude one half."""
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_video(
    path: Path,
    seconds: float = 1.0,
    pitch: float | None = 440.0,
    size: tuple[int, int] = (64, 48),
    fps: int = 20,
    colour: int = 0,
) -> None:
    """A film whose channel ``colour`` brightens from black to white, with a tone; ``pitch`` None: no sound track."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video_codec, audio_codec = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        video = container.add_stream(video_codec, rate=fps)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        sound = None if pitch is None else container.add_stream(audio_codec, rate=44100, layout="mono")
        count = round(seconds * fps)
        for i in range(count):
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
            pixels[..., colour] = 255 * i // max(1, count - 1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(tone(seconds, pitch)[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode())


def write_timed(
    path: Path, times: Sequence[float], sound: tuple[float, float], keyframes: int = 50, bright: float = 10.0
) -> None:
    """An H.264 film of grey pictures shown from ``times`` on, with a tone of 440 Hz from and to a second.

    A picture's grey is ``bright`` times its time in seconds: it says when it belongs.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        video.options = {"x264-params": f"keyint={keyframes}:min-keyint={keyframes}:scenecut=0"}
        heard = container.add_stream("aac", rate=44100, layout="mono")
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), round(bright * time), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        wave = av.AudioFrame.from_ndarray(tone(sound[1] - sound[0], 440)[None], format="fltp", layout="mono")
        wave.sample_rate, wave.pts = 44100, round(44100 * sound[0])
        container.mux(heard.encode(wave))
        container.mux(heard.encode())


def cut(source: Path, target: Path, begin: float, seconds: float) -> None:
    """What ``ffmpeg -ss begin -t seconds -i source -c copy target`` does: from the keyframe on, its pre-roll hidden."""
    with av.open(str(source)) as film, av.open(str(target), "w") as clip:
        film.seek(round(begin * av.time_base))
        streams = {stream.index: clip.add_stream_from_template(stream) for stream in film.streams}
        for packet in film.demux():
            shift, length = (round(time / packet.time_base) for time in (begin, seconds))
            if packet.dts is not None and packet.pts - shift < length:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[packet.stream.index]
                clip.mux(packet)


def write_sound(path: Path, seconds: float = 1.0, pitch: float = 440.0, rate: int = 16000) -> None:
    """A tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds, pitch, rate), rate)


def write_picture(path: Path, colour: int = 0, size: tuple[int, int] = (40, 30), level: int = 200) -> None:
    """One colour, as .jpg or .png."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., colour] = level
    Image.fromarray(pixels).save(path)
