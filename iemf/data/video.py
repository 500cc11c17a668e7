"""Video files: frames and sound through PyAV, i.e. FFmpeg."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from iemf.data.container import SLACK, WHOLE, Timeline, name_others, opened, timeline, track, zero
from iemf.errors import UserError

EXTENSIONS = (".mp4", ".avi", ".flv", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".wmv", ".3gp", ".3g2", ".asf",
              ".f4v", ".m2ts", ".mts", ".ts", ".mxf", ".ogv", ".qt", ".rm", ".vob")  # fmt: skip
TICK = 1e-4  # seconds that clocks of thousandths round away
GAP = 0.05  # seconds between pieces of sound; less is the clock's rounding or the codec's run-in


def check(path: Path) -> None:
    """Read the header alone.

    Raises:
        UserError: the file is no video with pictures.
    """
    with opened(path) as container:
        track(container, path, "video")


def check_sound(path: Path) -> None:
    """Read the header alone.

    Raises:
        UserError: the file holds no sound.
    """
    with opened(path) as container:
        track(container, path, "audio")


def frames(path: Path, choose: Callable[[int], Sequence[int]], short_side: int | None = None) -> list[np.ndarray]:
    """Chosen frames as RGB uint8 [H, W, 3], in the order chosen, all of the size of the first one decoded.

    Frames are chosen by their time: the film, from its first picture to the end of its last, is divided into as many
    equal parts as it shows pictures, and position k is what is shown amid part k. At a constant rate that is picture k.

    Args:
        path: the file.
        choose: from the number of frames n to positions in 0..n-1; only these are converted to RGB.
        short_side: shrink frames with a longer short side to this many pixels.

    Raises:
        UserError: see :func:`iemf.data.container.timeline`; or less can be decoded than the packets promise.
    """
    line = timeline(path)
    return frames_at(path, line, line.amid(choose(len(line.begins))), short_side)


def frames_at(path: Path, line: Timeline, times: Sequence[float], short_side: int | None = None) -> list[np.ndarray]:
    """What is shown at each time: before the first picture the first, behind the last the last.

    Args:
        path: the file.
        line: its timeline.
        times: seconds of the container's clock, in any order; times of one picture give one array.
        short_side: see :func:`frames`.

    Raises:
        UserError: less can be decoded than the packets promise.
    """
    found: list[np.ndarray | None] = [None] * len(times)
    waiting = sorted(range(len(times)), key=lambda k: times[k], reverse=True)
    shown, size, count = None, (0, 0), 0

    def settle(before: float) -> None:
        """Give what is shown to those that wait for a time ``before`` the next picture."""
        pixels = None
        while waiting and times[waiting[-1]] < before - TICK:
            pixels = _rgb(shown, size) if pixels is None else pixels
            found[waiting.pop()] = pixels

    with opened(path) as container:
        film = track(container, path, "video")
        name_others(container, path, film)
        start = zero(container)
        for count, frame in enumerate(container.decode(film), 1):
            if shown is None:
                size = _shrunk(frame, short_side)
            else:
                settle(line.begins[min(count, len(line.begins)) - 1] if frame.time is None else frame.time - start)
            if not waiting:
                break
            shown = frame
        else:
            needed = np.searchsorted(line.begins, max(times) + TICK, "right")
            if shown is None or count < WHOLE * (needed - 1):
                raise UserError(f"{path} breaks off: its frames cannot all be decoded; repair or remove it")
            settle(math.inf)
    return found


def _shrunk(frame: av.VideoFrame, short_side: int | None) -> tuple[int, int]:
    """(height, width), the shorter of them at most ``short_side``."""
    scale = min(1.0, (short_side or math.inf) / min(frame.height, frame.width))
    return round(frame.height * scale), round(frame.width * scale)


def _rgb(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    turns = round(frame.rotation / 90) % 4  # as the camera was held
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def sound(path: Path, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """The sound as mono float32 [n] in ±1 from the zero of the container's clock on, and its rate in Hz.

    Where the track has no sound, before it begins or in a gap, there is silence.

    Args:
        path: the file.
        seconds: decode no more than this; None: all.

    Raises:
        UserError: no sound in it, or it cannot be decoded.
    """
    parts, rate, length = [], 0, 0
    with opened(path) as container:
        heard = track(container, path, "audio")
        name_others(container, path, heard)
        planar = av.AudioResampler(format="fltp")
        start = zero(container)
        end = container.duration / av.time_base + SLACK if container.duration else math.inf
        for frame in container.decode(heard):
            rate = frame.sample_rate
            time = length / rate if frame.time is None else frame.time - start
            if length / rate + GAP < time < end:  # a clock that leaps beyond the film's end is not believed
                silence = round(min(time, seconds or math.inf) * rate) - length
                parts.append(np.zeros(max(0, silence), np.float32))
                length += len(parts[-1])
            parts += [part.to_ndarray().mean(0) for part in planar.resample(frame)]
            length += frame.samples
            if seconds is not None and length >= seconds * rate:
                break
    if length == 0:
        raise UserError(f"{path} holds no sound; repair or remove it")
    samples = np.concatenate(parts)
    return samples if seconds is None else samples[: round(seconds * rate)], rate
