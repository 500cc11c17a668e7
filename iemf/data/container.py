"""Containers through PyAV, i.e. FFmpeg: which track is read, and when each of its pictures is shown.

A container has one clock, whose zero is the beginning of whatever begins first, picture or sound; all times here are
seconds of it. What an edit list hides is not shown: it is neither counted nor given, and no time passes in it.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.stream import Disposition

from iemf.errors import UserError

# What is shown of a whole file reaches this share of its declared duration, a few frames aside.
WHOLE = 0.9
SLACK = 0.2  # seconds
MOST_PIXELS = 2**26  # of a picture; 8K has half as many
CONTENT = {"video": "pictures", "audio": "sound"}


class MediaWarning(UserWarning):
    """A file is read, but something about it is doubtful; the message names both."""


class Timeline(NamedTuple):
    """When the pictures of a film are shown.

    ``begins`` [n], ascending, when each appears; ``end``, when the last one goes; ``sound``, when the sound begins and
    ends, None without.
    """

    begins: np.ndarray
    end: float
    sound: tuple[float, float] | None

    def amid(self, positions: Sequence[int]) -> np.ndarray:
        """The times amid parts of the pictures' time, divided into as many equal parts as there are pictures.

        At a constant rate that is amid the pictures of these numbers; else one that stays longer is met more often.
        """
        begin = self.begins[0]
        return begin + (np.asarray(positions) + 0.5) / len(self.begins) * (self.end - begin)


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """The container, one thread per decoder: callers run one process a core.

    Raises:
        UserError: it cannot be read, or breaks off while it is used.
    """
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            for stream in container.streams:
                if stream.type in CONTENT:
                    if stream.codec_context is None:
                        raise UserError(f"{path} holds {stream.type} of an unknown codec; convert or remove it")
                    stream.codec_context.thread_count = 1
                if stream.type == "video":  # a header's claim would take memory before a picture is decoded
                    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            yield container
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise UserError(f"{path} cannot be decoded ({reason}); repair or remove it") from None


def track(container: av.container.InputContainer, path: Path, kind: str) -> av.stream.Stream:
    """The track of a kind, "video" or "audio", that players take: marked as default, else FFmpeg's choice.

    A cover is no picture of the film.

    Raises:
        UserError: there is none.
    """
    found = _tracks(container, kind)
    if not found:
        raise UserError(f"{path} holds no {CONTENT[kind]}; repair or remove it")
    best = container.streams.best(kind)
    return best if best in found else found[0]


def name_others(container: av.container.InputContainer, path: Path, chosen: av.stream.Stream) -> None:
    """Say in a :class:`MediaWarning` which track is read where there are several of a kind."""
    found = _tracks(container, chosen.type)
    if len(found) > 1:
        why = "marked as default" if chosen.disposition & Disposition.default else "none is marked as default"
        warnings.warn(f"{path} has {len(found)} tracks of {CONTENT[chosen.type]}; number {found.index(chosen) + 1} is "
                      f"read ({why})", MediaWarning, stacklevel=3)  # fmt: skip


def _tracks(container: av.container.InputContainer, kind: str) -> list[av.stream.Stream]:
    return [s for s in container.streams if s.type == kind and not s.disposition & Disposition.attached_pic]


def zero(container: av.container.InputContainer) -> float:
    """What the file's own clock, in seconds, shows at our zero."""
    return (container.start_time or 0) / av.time_base


def timeline(path: Path) -> Timeline:
    """When the pictures are shown, from the packets alone: nothing is decoded.

    Raises:
        UserError: no picture in it, cannot be read, or shorter than it declares.
    """
    with opened(path) as container:
        film = track(container, path, "video")
        packets = [_Packet.of(packet) for packet in container.demux() if packet.size and not packet.is_discard]
        declared = (container.duration or 0) / av.time_base
        promised = _promised(container, film)
        film_start = float((film.start_time or 0) * film.time_base)
        sound = track(container, path, "audio").index if _tracks(container, "audio") else None
        start, rate = zero(container), float(film.average_rate or 25)
        pictures = [packet for packet in packets if packet.track == film.index]
    if not pictures:
        raise UserError(f"{path} holds no pictures; repair or remove it")
    whole, shown = _span(packets), _span(pictures)
    lengths = [(whole[1] - whole[0], declared), (shown[1] - min(shown[0], film_start), promised)]
    for there, said in lengths:
        if there < WHOLE * said - SLACK:
            raise UserError(f"{path} is truncated: {max(0.0, there):.1f} s of {said:.1f} s; repair or remove it")
    begins = _begins(pictures, rate) - start
    last = max(pictures, key=lambda packet: packet.time or 0.0).seconds or _usual(begins, 1 / rate)
    heard = _span([packet for packet in packets if packet.track == sound])
    return Timeline(begins, begins[-1] + last, None if sound is None else (heard[0] - start, heard[1] - start))


def _promised(container: av.container.InputContainer, film: av.VideoStream) -> float:
    """Seconds of pictures by the header; 0: it does not say.

    By time, not by packets: an AVI file leaves out frames that repeat the one before.
    """
    if "mov" in container.format.name:  # its number of frames has the hidden ones in it
        return float((film.duration or 0) * film.time_base)
    # FFmpeg corrects the duration of a truncated AVI file by its size, but not this.
    return float(film.frames / film.average_rate) if film.frames and film.average_rate else 0.0


class _Packet(NamedTuple):
    """Times in seconds of the file's own clock."""

    track: int
    pts: float | None  # when it is shown
    dts: float | None  # when it is decoded
    seconds: float  # how long it is shown; 0: not said

    @classmethod
    def of(cls, packet: av.Packet) -> "_Packet":
        tick = float(packet.time_base)
        pts, dts = (None if time is None else time * tick for time in (packet.pts, packet.dts))
        return cls(packet.stream.index, pts, dts, (packet.duration or 0) * tick)

    @property
    def time(self) -> float | None:
        return self.dts if self.pts is None else self.pts


def _span(packets: list[_Packet]) -> tuple[float, float]:
    """(first beginning, last end) of those that say when; (0, 0) if none does."""
    timed = [packet for packet in packets if packet.time is not None]
    return (
        min((packet.time for packet in timed), default=0.0),
        max((packet.time + packet.seconds for packet in timed), default=0.0),
    )


def _begins(pictures: list[_Packet], rate: float) -> np.ndarray:
    """When each picture appears, ascending: decoded in another order, they are as many and as far apart."""
    for times in ([packet.pts for packet in pictures], [packet.dts for packet in pictures]):
        if None not in times:
            return np.sort(np.array(times))
    return np.arange(len(pictures)) / rate


def _usual(begins: np.ndarray, otherwise: float) -> float:
    """How long most pictures stay."""
    return float(np.median(np.diff(begins))) if len(begins) > 1 else otherwise
