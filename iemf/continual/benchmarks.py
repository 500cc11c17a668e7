"""The three public benchmarks of class-incremental learning (Pian et al. 2023), from a folder of features.

A folder holds either what ``iemf extract`` wrote (index.json, audio.npy, visual.npy), or the public
AV-CIL release: its two lists, audio_pretrained_feature/audio_pretrained_feature_dict.npy and
visual_pretrained_feature/visual_pretrained_feature_dict.npy or visual_features.h5. Neither is loaded as a whole:
pictures stay in their file, 2.4 MB (float16) or 4.8 MB (float32) a clip.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from iemf.continual import pickled, public
from iemf.continual.data import ContinualData, FeatureSplit, equal_tasks
from iemf.continual.public import SPLITS, Lists
from iemf.continual.rows import FileRows, check_numbers, npy_rows
from iemf.errors import UserError
from iemf.files import read_json

INDEX = "index.json"
TIMES = 8  # VideoMAE's 16 frames, two a token
SIZE = 768  # of the public features, both encoders' base size


class Benchmark(NamedTuple):
    """Tasks and classes, and how many samples were published for train, val and test."""

    tasks: int
    classes: int
    published: tuple[int, int, int]


BENCHMARKS = {
    "ave-ci": Benchmark(4, 28, (3294, 391, 394)),
    "k-s-ci": Benchmark(5, 30, (19220, 1947, 1958)),
    "vs100-ci": Benchmark(10, 100, (51195, 5000, 5000)),
}


def load(name: str, folder: Path, tasks: int | None = None) -> ContinualData:
    """A benchmark from its folder of features.

    Args:
        name: a key of BENCHMARKS.
        folder: see above.
        tasks: other than published.

    Raises:
        UserError: a file is missing, damaged or refused, a listed video has no features, shapes or dtypes are not one,
            a class is empty, the classes are not the benchmark's or do not divide.
    """
    benchmark = BENCHMARKS[name]
    if not folder.is_dir():
        raise UserError(f"`data_root` {folder} is not a folder; name the one with the features of {name}")
    if (folder / INDEX).exists():
        lists, splits, identity = _extracted(name, folder)
    elif (folder / public.VIDEOS).exists():
        lists, splits, identity = _released(folder)
    else:
        raise UserError(f"`data_root` {folder} holds neither {INDEX} (of `iemf extract`) nor {public.VIDEOS} "
                        f"(of the public release); name the folder with the features of {name}")  # fmt: skip
    if len(lists.classes) != benchmark.classes:
        raise UserError(f"`data_root` {folder} lists {len(lists.classes)} classes, {name} has {benchmark.classes}; "
                        f"name the folder of {name}")  # fmt: skip
    about = {
        "published": dict(zip(SPLITS, benchmark.published, strict=True)),
        "digest": digest(lists, identity, splits),
    }
    return ContinualData(name, lists.classes, equal_tasks(len(lists.classes), tasks or benchmark.tasks), **splits,
                         about=about)  # fmt: skip


def digest(lists: Lists, identity: object, splits: Mapping[str, FeatureSplit]) -> str:
    """Changes with what is learnt from: a run is not resumed on other features.

    All sounds count, and the pictures of three clips a split: reading every one would take as long as an epoch.
    """
    mark = hashlib.sha256(json.dumps([*lists, identity], sort_keys=True).encode())
    for split in splits.values():
        mark.update(np.ascontiguousarray(split.audio).data)
        for row in (0, len(split) // 2, len(split) - 1):
            mark.update(split.visual[[row]].tobytes())
    return mark.hexdigest()[:16]


def _extracted(name: str, folder: Path) -> tuple[Lists, dict[str, FeatureSplit], object]:
    path = folder / INDEX
    index = read_json(path)
    try:
        row = {video: number for number, video in enumerate(index["ids"])}
        made_for, classes, content, encoders = (index[key] for key in ("benchmark", "classes", "splits", "encoders"))
        classes = tuple(classes)
    except (KeyError, TypeError):
        raise UserError(f"{path} is no index of features; make them anew (`iemf extract`)") from None
    if made_for != name:
        raise UserError(f"{path} is of {made_for}, not of {name}; name the folder of {name}")
    lists = public.check(path, classes, content)
    audio = npy_rows(folder / "audio.npy", range(len(row)))[range(len(row))]
    if audio.ndim != 2 or 0 in audio.shape:
        raise UserError(f"{folder / 'audio.npy'} is of shape {list(audio.shape)}, expected [N, D], of AudioMAE "
                        f"[N, {SIZE}]; make the features anew")  # fmt: skip
    _check_missing(folder / "visual.npy", lists, row, "pictures and sound")
    splits = {}
    for split in SPLITS:
        rows = [row[video] for video in lists.ids(split)]
        visual = npy_rows(folder / "visual.npy", rows)
        _check_axes(folder / "visual.npy", visual.shape)
        splits[split] = FeatureSplit(audio[rows], visual, lists.labels(split), lists.ids(split))
    return lists, splits, [encoders, index["ids"]]


def _released(folder: Path) -> tuple[Lists, dict[str, FeatureSplit], object]:
    lists = public.read_lists(folder)
    sound_file = _one_of(folder, "audio_pretrained_feature", ["audio_pretrained_feature_dict.npy"])
    names = ["visual_features.h5", "visual_pretrained_feature_dict.npy"]
    film_file = _one_of(folder, "visual_pretrained_feature", names)
    sound = pickled.load(sound_file)
    film = hdf5_extents(film_file) if film_file.suffix == ".h5" else pickled.extents(film_file)
    _check_missing(sound_file, lists, sound, "sound")
    _check_missing(film_file, lists, film, "pictures")
    splits = {}
    for split in SPLITS:
        videos = lists.ids(split)
        audio = _stacked(sound_file, {video: sound[video] for video in videos})
        visual = _located(film_file, {video: film[video] for video in videos})
        splits[split] = FeatureSplit(audio, visual, lists.labels(split), videos)
    return lists, splits, [[path.name, path.stat().st_size] for path in (sound_file, film_file)]


def _one_of(folder: Path, inside: str, names: list[str]) -> Path:
    """The first of the files that is there, in ``folder/inside`` or in ``folder`` itself."""
    candidates = [place / name for place in (folder / inside, folder) for name in names]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UserError(f"{folder / inside} holds no {' or '.join(names)}; put the public features there, or make "
                        f"features (`iemf extract`)")  # fmt: skip
    return found


def _check_missing(path: Path, lists: Lists, there: Mapping[str, object], what: str) -> None:
    missing = [video for split in SPLITS for video in lists.ids(split) if video not in there]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{path} has no {what} of {missing[0]!r}{more} that the lists name; complete it, or extract "
                        f"the features anew (`iemf extract`)")  # fmt: skip


def _check_axes(path: Path, shape: tuple[int, ...]) -> None:
    """Raise UserError unless ``shape`` is [N, times, places, D]: axes in another order would train, badly."""
    if len(shape) != 4 or 0 in shape or shape[1] != TIMES or not _is_square(shape[2]):
        raise UserError(f"{path} is of shape {list(shape)}, expected [N, times, places, D] with {TIMES} times and "
                        f"n x n places, of VideoMAE [N, 8, 196, {SIZE}]; make the features anew")  # fmt: skip


def _is_square(count: int) -> bool:
    return math.isqrt(count) ** 2 == count


def _stacked(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """[N, 768] of one vector a video."""
    for video, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.shape != (SIZE,):
            shape = list(getattr(array, "shape", ())) or type(array).__name__
            raise UserError(f"{path}: {video!r} is of shape {shape}, expected [{SIZE}]; get the public features, or "
                            f"make features anew (`iemf extract`)")  # fmt: skip
        check_numbers(path, array.dtype, f"{video!r} is of ")
    return np.stack(list(arrays.values()))


def _located(path: Path, pieces: Mapping[str, pickled.Extent | np.ndarray]) -> FileRows | np.ndarray:
    """[N, T, S, 768] of [T * S, 768] a video, in the file, or in memory where the whole is small."""
    first = next(iter(pieces.values()))
    shape, dtype = first.shape, first.dtype
    if len(shape) != 2 or shape[0] % TIMES or not _is_square(shape[0] // TIMES) or shape[1] != SIZE:
        remedy = "transpose them" if len(shape) == 2 and shape[0] == SIZE else "make the features anew"
        raise UserError(f"{path}: {next(iter(pieces))!r} is of shape {list(shape)}, expected [{TIMES} x n x n, "
                        f"{SIZE}], of VideoMAE [1568, {SIZE}]; {remedy}")  # fmt: skip
    check_numbers(path, dtype, f"{next(iter(pieces))!r} is of ")
    for video, piece in pieces.items():
        if piece.shape != shape or piece.dtype != dtype:
            raise UserError(f"{path}: {video!r} is {list(piece.shape)} {piece.dtype}, others {list(shape)} {dtype}; "
                            f"make the features anew")  # fmt: skip
    grid = (TIMES, shape[0] // TIMES, shape[1])
    if isinstance(first, np.ndarray):
        return np.stack([piece.reshape(grid) for piece in pieces.values()])
    return FileRows(path, [piece.offset for piece in pieces.values()], grid, dtype)


def hdf5_extents(path: Path) -> dict[str, pickled.Extent]:
    """{video: where its array lies} of an HDF5 file with one contiguous data set a video.

    Raises:
        UserError: it cannot be read, or a data set is in chunks or compressed.
    """
    found = {}
    try:
        with h5py.File(path, "r") as file:
            for video in file:
                if not isinstance(file.get(video, getlink=True), h5py.HardLink):
                    raise UserError(f"{path}: {video!r} lies in another place or file; do not trust this file")
                data = file[video]
                offset = data.id.get_offset() if isinstance(data, h5py.Dataset) else None
                if offset is None:
                    raise UserError(
                        f"{path}: {video!r} is no contiguous data set; h5repack -l CONTI IN OUT makes it so"
                    )
                found[video] = pickled.Extent(offset, data.shape, data.dtype)
    except UserError:
        raise
    except Exception as error:  # of damage the library raises whatever the operation at hand does
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is no HDF5 file, or is damaged ({reason}); get it anew") from None
    return found
