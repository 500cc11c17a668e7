"""Real media files for tests: videos with sound, small trees in the official layouts."""

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
