"""Video files: frames and sound through PyAV, i.e. FFmpeg."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

from iemf.errors import UserError

EXTENSIONS = (".mp4", ".avi", ".flv", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".wmv", ".3gp", ".3g2", ".asf",
              ".f4v", ".m2ts", ".mts", ".ts", ".mxf", ".ogv", ".qt", ".rm", ".vob")  # fmt: skip
# The packets of a whole file reach this share of its declared duration, a few frames aside.
WHOLE = 0.9
SLACK = 0.2  # seconds


@contextmanager
def _open(path: Path) -> Iterator[av.container.InputContainer]:
    """The container, one thread per decoder: callers run one process a core."""
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            for stream in container.streams:
                if stream.type in ("audio", "video"):
                    if stream.codec_context is None:
                        raise UserError(f"{path} holds {stream.type} of an unknown codec; convert or remove it")
                    stream.codec_context.thread_count = 1
            yield container
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise UserError(f"{path} cannot be decoded ({reason}); repair or remove it") from None


def check(path: Path) -> None:
    """Read the header alone.

    Raises:
        UserError: the file is no video with pictures.
    """
    with _open(path) as container:
        if not container.streams.video:
            raise UserError(f"{path} holds no pictures; repair or remove it")


def check_sound(path: Path) -> None:
    """Read the header alone.

    Raises:
        UserError: the file holds no sound.
    """
    with _open(path) as container:
        if not container.streams.audio:
            raise UserError(f"{path} holds no sound; repair or remove it")


def seconds(path: Path) -> float:
    """How long the film says it is.

    Raises:
        UserError: it cannot be read, or does not say.
    """
    with _open(path) as container:
        if not container.duration:
            raise UserError(f"{path} does not say how long it is; repair or remove it")
        return container.duration / av.time_base


def frame_count(path: Path) -> int:
    """The number of frames, from the packets alone: nothing is decoded.

    Raises:
        UserError: no picture in it, cannot be read, or shorter than it declares.
    """
    with _open(path) as container:
        if not container.streams.video:
            raise UserError(f"{path} holds no pictures; repair or remove it")
        film = container.streams.video[0]
        pictures, begin, end, film_end = 0, math.inf, 0.0, 0.0  # seconds
        for packet in container.demux():
            if not packet.size:
                continue
            of_film = packet.stream.index == film.index
            pictures += of_film
            if packet.pts is not None:
                packet_end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                begin, end = min(begin, float(packet.pts * packet.time_base)), max(end, packet_end)
                film_end = max(film_end, packet_end) if of_film else film_end
        declared = (container.duration or 0) / av.time_base
        if end - begin < WHOLE * declared - SLACK:
            raise UserError(
                f"{path} is truncated: {max(0.0, end - begin):.1f} s of {declared:.1f} s; repair or remove it"
            )
        # By time, not by packets: an AVI file leaves out frames that repeat the one before.
        promised = film.frames / film.average_rate if film.frames and film.average_rate else 0.0
        if film_end < WHOLE * float(promised) - SLACK:
            raise UserError(f"{path} is truncated: {film_end:.1f} s of {float(promised):.1f} s; repair or remove it")
    if pictures == 0:
        raise UserError(f"{path} holds no pictures; repair or remove it")
    return pictures


def frames(path: Path, choose: Callable[[int], Sequence[int]], short_side: int | None = None) -> list[np.ndarray]:
    """Chosen frames as RGB uint8 [H, W, 3], in the order chosen, all of the size of the first one decoded.

    Args:
        path: the file.
        choose: from the number of frames n to positions in 0..n-1; only these are converted to RGB.
        short_side: shrink frames with a longer short side to this many pixels.

    Raises:
        UserError: see :func:`frame_count`; or less can be decoded than the packets promise.
    """
    positions = choose(frame_count(path))
    wanted, found, decoded, size = set(positions), {}, None, (0, 0)
    with _open(path) as container:
        for position, frame in enumerate(container.decode(container.streams.video[0])):
            if decoded is None:
                size = _shrunk(frame, short_side)
            decoded = frame
            if position in wanted:
                found[position] = _rgb(frame, size)
            if len(found) == len(wanted):
                break
        else:
            if decoded is None or position + 1 < WHOLE * max(positions):
                raise UserError(f"{path} breaks off: its frames cannot all be decoded; repair or remove it")
            last = _rgb(decoded, size)  # some containers count packets that give no frame, at the end
            found |= dict.fromkeys(wanted - found.keys(), last)
    return [found[position] for position in positions]


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
    """The first audio track as float32 [channels, n] in ±1, and its rate in Hz.

    Args:
        path: the file.
        seconds: decode no more than this; None: all.

    Raises:
        UserError: no sound in it, or it cannot be decoded.
    """
    parts, rate, length = [], 0, 0
    with _open(path) as container:
        if not container.streams.audio:
            raise UserError(f"{path} holds no sound; repair or remove it")
        planar = av.AudioResampler(format="fltp")
        for frame in container.decode(container.streams.audio[0]):
            rate = frame.sample_rate
            parts += [part.to_ndarray() for part in planar.resample(frame)]
            length += frame.samples
            if seconds is not None and length >= seconds * rate:
                break
    if length == 0:
        raise UserError(f"{path} holds no sound; repair or remove it")
    samples = np.concatenate(parts, axis=1)
    return samples if seconds is None else samples[:, : round(seconds * rate)], rate
