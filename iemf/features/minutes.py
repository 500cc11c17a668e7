"""A film as question answering sees it, a frame and a second of sound sixty times; the files of its features."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision.transforms.functional as TF
from torch import Tensor

from iemf.data import audio, video
from iemf.data.container import SLACK, MediaWarning, Timeline, timeline
from iemf.errors import UserError
from iemf.features.resnet_maps import SIDE
from iemf.features.vggish import SAMPLE_RATE, LogMel
from iemf.files import whole_file

SECONDS = 60
FOLDERS = {"audio": "vggish", "visual": "res18_14x14"}  # as the public features have them


class Minute(NamedTuple):
    """Log-mel patches [60, 1, 96, 64] and frames uint8 [60, 3, 448, 448]."""

    sound: Tensor
    frames: Tensor


def read_minute(path: Path, seconds: int = SECONDS, side: int = SIDE) -> Minute:
    """The frame amid each second and the second's sound, by the one clock of the film.

    Where there is no picture the nearest stands for it, where there is no sound there is silence: behind the film's
    end without a word, before it with a :class:`iemf.data.container.MediaWarning`.

    Frames are squeezed to a square, not cropped: whoever plays at the edge stays in the picture.

    Raises:
        UserError: the film cannot be decoded, or has no sound or no picture in more than half of its seconds.
    """
    line = timeline(path)
    amid = np.arange(seconds) + 0.5
    _check(path, line, amid)
    squeezed: dict[int, Tensor] = {}
    frames = []
    for frame in video.frames_at(path, line, amid):
        # Frames chosen twice are one object, and are squeezed once.
        if id(frame) not in squeezed:
            pixels = torch.from_numpy(frame).permute(2, 0, 1)
            squeezed[id(frame)] = TF.resize(pixels, [side, side], antialias=True)
        frames.append(squeezed[id(frame)])
    sound = audio.read(path, SAMPLE_RATE, seconds)
    return Minute(LogMel()(sound, seconds), torch.stack(frames))


def _check(path: Path, line: Timeline, amid: np.ndarray) -> None:
    """Refuse a film with half of its pictures or sound missing, say if some are."""
    if line.sound is None:
        raise UserError(f"{path} holds no sound; repair or remove it")
    end = max(line.end, line.sound[1])
    total = np.count_nonzero(amid < end)
    for (first, last), has, stand_in in (
        ((line.begins[0], line.end), "shows pictures", "the nearest stands"),
        (line.sound, "has sound", "silence stands"),
    ):
        there = np.count_nonzero((amid >= first - SLACK) & (amid < last + SLACK))
        if 2 * there < total:
            raise UserError(f"{path} {has} in {there} of {total} s only; repair or remove it")
        if there < total:
            text = f"{path} {has} in {there} of {total} s; {stand_in} for the others"
            warnings.warn(text, MediaWarning, stacklevel=3)


def files(folder: Path, clip: str) -> dict[str, Path]:
    """Where the features of a video lie: {"audio": vggish/ID.npy, "visual": res18_14x14/ID.npy}."""
    return {kind: folder / name / f"{clip}.npy" for kind, name in FOLDERS.items()}


def is_done(folder: Path, clip: str) -> bool:
    """Whether both files are there; each is written whole or not at all."""
    return all(path.exists() for path in files(folder, clip).values())


def write(folder: Path, clip: str, features: dict[str, np.ndarray]) -> None:
    """Both files of a video, float32.

    Raises:
        UserError: the folder cannot be written to.
    """
    for kind, path in files(folder, clip).items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path, "wb") as file:
                np.save(file, features[kind].astype(np.float32))
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}); name another `out`") from None
