"""MUSIC-AVQA (Li et al. 2022) from its question files and a folder of features.

    DIR/json/avqa-train.json   avqa-val.json   avqa-test.json
    DIR/feats/vggish/ID.npy            [60, 128]
    DIR/feats/res18_14x14/ID.npy       [60, 512, 14, 14], 24 MB a video

Answers see every sixth second: T = 10. Files are mapped, not loaded: only what a batch needs is read. Ids of real
videos are numbers, those of synthetic ones have letters before them.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iemf.avqa import vocabulary
from iemf.avqa.data import AVQAData, AVQASplit
from iemf.avqa.questions import read_questions
from iemf.errors import UserError
from iemf.features.minutes import SECONDS, files

SPLITS = ("train", "val", "test")
EVERY = 6  # seconds
DTYPES = (np.dtype(np.float16), np.dtype(np.float32))
SOUND, CHANNELS = 128, 512  # of VGGish and of ResNet-18


class Place(NamedTuple):
    """Where the numbers of a file begin, in bytes, and what they are."""

    offset: int
    dtype: np.dtype


class FileFeatures:
    """Features of videos, two .npy files each, mapped when they are read.

    Args:
        folder: with vggish/ and res18_14x14/.
        videos: ids; VGGish is [60, 128] of each, maps [60, 512, H, W] with H = W as the first one has it.

    Attributes:
        times, seconds: 10 and 60.

    Raises:
        UserError: a video lacks a file (named, with how many more), or a file is damaged or of another shape or dtype.
    """

    times, seconds = SECONDS // EVERY, SECONDS

    def __init__(self, folder: Path, videos: Sequence[str]) -> None:
        self.paths = [files(folder, video) for video in videos]
        missing = [next(iter(gone)) for paths in self.paths
                   if (gone := [path for path in paths.values() if not path.is_file()])]  # fmt: skip
        if missing:
            more = f" and those of {len(missing) - 1} more videos" if len(missing) > 1 else ""
            raise UserError(f"{missing[0]}{more} missing: {len(videos)} videos are asked about; complete the features, "
                            f"or make them (`iemf extract`)")  # fmt: skip
        self.shapes = {kind: _mapped(self.paths[0][kind]).shape for kind in ("audio", "visual")}
        self.audio_size, self.visual_size = SOUND, CHANNELS
        self.places: dict[tuple[int, str], Place] = {}
        self.mark = self._look_at_all()

    def _look_at_all(self) -> bytes:
        """See that every file has the shape, before anything is trained; what a few numbers of each amount to."""
        mark = hashlib.sha256()
        for number in range(len(self.paths)):
            for kind in ("audio", "visual"):
                array = self._checked(number, kind)
                if array.flags.c_contiguous:
                    self.places[number, kind] = Place(array.offset, array.dtype)
                mark.update(array[SECONDS // 2].ravel()[:: max(1, array[0].size // 128)].tobytes())
        return mark.digest()

    def read(self, videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """audio [B, 10, D_a], visual [B, 10, C, H, W].

        Raises:
            UserError: a file is damaged, of another shape or dtype, or holds what is no number.
        """
        every = slice(None, None, EVERY)
        return tuple(np.stack([self._some(number, kind, every) for number in videos]) for kind in ("audio", "visual"))

    def sounds(self, videos: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """[n, D_a]; errors as of :meth:`read`."""
        return np.stack(self._moments(videos, seconds, "audio"))

    def pictures(self, videos: np.ndarray, seconds: np.ndarray, shown_at: np.ndarray) -> np.ndarray:
        """[n, C, H, W]; errors as of :meth:`read`."""
        return np.stack(self._moments(videos, seconds, "visual"))

    def _moments(self, videos: np.ndarray, seconds: np.ndarray, kind: str) -> list[np.ndarray]:
        return [self._moment(int(number), kind, int(second)) for number, second in zip(videos, seconds, strict=True)]

    def _moment(self, number: int, kind: str, second: int) -> np.ndarray:
        """Read by itself: a map would have the system read megabytes ahead."""
        place, path, shape = self.places.get((number, kind)), self.paths[number][kind], self.shapes[kind][1:]
        if place is None:  # columns first: a moment lies all over the file
            return self._some(number, kind, second)
        size = place.dtype.itemsize * int(np.prod(shape))
        try:
            with path.open("rb", buffering=0) as file:
                if hasattr(os, "posix_fadvise"):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                content = os.pread(file.fileno(), size, place.offset + second * size)
            chosen = np.frombuffer(content, place.dtype).reshape(shape)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is no readable .npy file ({error}); make it anew") from None
        return self._finite(chosen, path)

    def _checked(self, number: int, kind: str) -> np.ndarray:
        path = self.paths[number][kind]
        array = _mapped(path)
        _check_axes(path, kind, array.shape)
        if array.shape != self.shapes[kind]:
            raise UserError(f"{path} is of shape {list(array.shape)}, others {list(self.shapes[kind])}; make it anew")
        return array

    def _some(self, number: int, kind: str, seconds: slice | int) -> np.ndarray:
        return self._finite(self._checked(number, kind)[seconds], self.paths[number][kind])

    @staticmethod
    def _finite(chosen: np.ndarray, path: Path) -> np.ndarray:
        if not np.isfinite(chosen).all():
            raise UserError(f"{path} holds NaN or infinite numbers; make it anew")
        return chosen


def _check_axes(path: Path, kind: str, shape: tuple[int, ...]) -> None:
    """Raise UserError unless the axes are those that the networks take: axes in another order would train, badly."""
    if kind == "audio" and shape != (SECONDS, SOUND):
        raise UserError(f"{path} is of shape {list(shape)}, expected [{SECONDS}, {SOUND}], seconds by VGGish's "
                        f"numbers; make the features anew (`iemf extract`)")  # fmt: skip
    if kind == "visual" and (len(shape) != 4 or shape[:2] != (SECONDS, CHANNELS) or shape[2] != shape[3]):
        order = len(shape) == 4 and shape[3] == CHANNELS
        remedy = "move the last axis to second place (numpy.moveaxis)" if order else "make the features anew"
        raise UserError(f"{path} is of shape {list(shape)}, expected [{SECONDS}, {CHANNELS}, 14, 14], seconds, "
                        f"channels, height and width; {remedy}")  # fmt: skip


def _mapped(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} is no readable .npy file ({error}); make it anew") from None
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is an archive of arrays, not one; make it anew")
    if array.dtype not in DTYPES:
        raise UserError(f"{path} is of dtype {array.dtype}, expected float16 or float32; make it anew")
    return array


def load(root: Path) -> AVQAData:
    """The three splits.

    Raises:
        UserError: of questions and features, see :func:`~iemf.avqa.questions.read_questions` and
            :class:`FileFeatures`.
    """
    if not root.is_dir():
        raise UserError(f"`data_root` {root} is not a folder; name the one with json/ and feats/ (docs/features.md)")
    paths = {split: root / "json" / f"avqa-{split}.json" for split in SPLITS}
    questions = {split: read_questions(path) for split, path in paths.items()}
    videos = sorted({question.video for split in SPLITS for question in questions[split]})
    features = FileFeatures(root / "feats", videos)
    number_of = {video: number for number, video in enumerate(videos)}
    words = vocabulary.build(questions["train"])
    synthetic = [video for video in videos if not video.isdigit()]
    splits = {split: AVQASplit(questions[split], words, features, number_of, synthetic=synthetic) for split in SPLITS}
    mark = hashlib.sha256()
    for path in paths.values():
        mark.update(path.read_bytes())
    mark.update(features.mark)
    return AVQAData("music-avqa", words, **splits, about={"digest": mark.hexdigest()[:16]})
