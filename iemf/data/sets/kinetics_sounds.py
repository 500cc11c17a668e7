"""Kinetics-Sounds (Arandjelović & Zisserman 2017): ten-second YouTube clips of 31 actions that can be heard and seen.

As people hold it, either extracted or as videos by class, at any depth:

    train/video/<class>/<clip>/frame_0.jpg ... frame_9.jpg    train/audio/<class>/<clip>.wav
    train/<class>/<clip>.mp4                                  or .avi, .mkv, .webm

The list files my_train.txt and my_test.txt (lines ``clip,frames,label``; Peng et al. 2022) name 14799 and 2597 clips,
of which 14772 and 2594 were left when the paper was written. A clip is YouTube's id of 11 characters, in most places
with the first second or both ends after it. The lists number the classes; the folders name them.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from iemf.data.clip import Clip, is_image, is_litter, is_sound, is_video
from iemf.data.names import composed, natural_order
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import Listing, checksum, find_file, read_list
from iemf.errors import UserError

PUBLISHED = {"train": 14772, "test": 2594}
FORM = Form(seconds=3.0, frames=16, frame_size=256)
CLIP = re.compile(r"([\w-]{11})(?:_(\d+))?(?:_(\d+))?", re.ASCII)
LABELS = 31
LISTS = {"train": "my_train.txt", "test": "my_test.txt"}
SPLITS = ("train", "test")
NOT_CLASSES = {"train", "test", "val", "validation", "video", "videos", "audio", "audios"}

Key = tuple[str, int | None]  # YouTube's id, first second


@dataclass
class Found:
    """The files of one clip."""

    class_name: str | None
    split: str | None
    sound: Path | None = None
    film: Path | None = None
    frames: list[Path] = field(default_factory=list)


def list_clips(source: Path, lists: Path | None = None, seed: int = 0) -> Listing:
    """Every clip that the lists name or, without lists, that lies in train/ and test/ by class.

    Args:
        source: holds the videos, or the sounds and frames, at any depth.
        lists: holds my_train.txt and my_test.txt; by default ``source``, if they are there.
        seed: not used: nothing is drawn.

    Raises:
        UserError: nothing was found, or a line of a list is not of this form; the message names it.
    """
    if not source.is_dir():
        raise UserError(f"`source` {source} is not a folder; name the one that holds the videos")
    found = find_clips(source)
    paths = {split: find_file([lists or source], name) for split, name in LISTS.items()}
    if any(paths.values()) or lists is not None:
        if missing := [LISTS[split] for split, path in paths.items() if path is None]:
            raise UserError(f"{(lists or source) / missing[0]} is missing; both lists are needed, or none")
        return _by_lists(found, paths)
    return _by_folders(found, source)


def find_clips(source: Path) -> dict[Key, Found]:
    """What lies under ``source``, by clip."""
    found: dict[Key, Found] = {}

    def of(path: Path) -> Found:
        parts = path.relative_to(source).parts
        parent = composed(parts[-2]) if len(parts) > 1 and parts[-2] not in NOT_CLASSES else None
        split = next((part for part in parts[:-1] if part in SPLITS), None)
        match = CLIP.fullmatch(path.stem)
        # Only YouTube's ids are one clip's wherever they lie; other names may come again in another class.
        other = "/".join(filter(None, (split, parent, path.stem)))
        key = (match[1], int(match[2]) if match[2] else None) if match else (other, None)
        return found.setdefault(key, Found(parent, split))

    def complain(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be listed ({error.strerror}); make it readable or move it away")

    seen = {source.resolve()}
    for folder, folders, files in os.walk(source, onerror=complain, followlinks=True):
        here = Path(folder)
        folders[:] = [name for name in sorted(folders) if not (is_litter(name) or _visited(here / name, seen))]
        pictures = [here / name for name in files if is_image(here / name) and not is_litter(name)]
        if pictures and here != source:
            of(here.with_name(here.name + ".frames")).frames = sorted(pictures, key=natural_order)
        for path in (here / name for name in sorted(files) if not is_litter(name)):
            if is_sound(path):
                of(path).sound = path
            elif is_video(path):
                of(path).film = path
    return found


def _visited(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder was walked through before, by a link or on a circle of links."""
    real = folder.resolve()
    if real in seen:
        return True
    seen.add(real)
    return False


def _by_lists(found: dict[Key, Found], paths: dict[str, Path]) -> Listing:
    by_id: dict[str, Found] = {}
    for (youtube, start), clip in found.items():
        if start is None:
            by_id[youtube] = clip
    splits: dict[str, list[Clip]] = {}
    folders: dict[int, Counter] = {}
    seen: dict[Key, str] = {}
    used: dict[int, str] = {}
    for split, path in paths.items():
        splits[split] = []
        for line, (name, _, label) in read_list(path, 3):
            match = CLIP.fullmatch(name)
            if match is None or not label.isdecimal() or int(label) >= LABELS:
                raise UserError(f"{line} is not a clip, its frames and a label below {LABELS}: {name!r}, {label!r}")
            key = (match[1], int(match[2]) if match[2] else None)
            if key in seen:
                raise UserError(f"{line} names {name}, as {seen[key]} does; a clip must be in one split, once")
            seen[key] = line
            files = found.get(key, by_id.get(match[1]))
            if files is not None and (other := used.setdefault(id(files), line)) != line:
                raise UserError(f"{line} names {name}, whose file {files.film or files.sound} is that of {other} too; "
                                f"a clip must be in one split, once")  # fmt: skip
            if files is not None and files.class_name is not None:
                folders.setdefault(int(label), Counter())[files.class_name] += 1
            splits[split].append(_clip(name, int(label), files))
    if not folders and all(clip.problem for clips in splits.values() for clip in clips):
        raise UserError(f"none of the {len(seen)} clips of the lists was found; is `source` the right folder?")
    names = _class_names(folders, 1 + max(clip.label for clips in splits.values() for clip in clips))
    return Listing(names, splits, {path.name: checksum(path) for path in paths.values()})


def _class_names(folders: dict[int, Counter], count: int) -> tuple[str, ...]:
    """The folder in which most clips of a label lie; numbers where no folder tells, or one holds everything."""
    if len({name for counts in folders.values() for name in counts}) == 1 < len(folders):
        return tuple(map(str, range(count)))
    names = [folders[label].most_common(1)[0][0] if label in folders else str(label) for label in range(count)]
    for label, name in enumerate(names):
        if name in names[:label]:
            raise UserError(f"the clips of labels {names.index(name)} and {label} lie in one folder, {name!r}; do the "
                            f"lists and `source` belong together?")  # fmt: skip
    return tuple(names)


def _by_folders(found: dict[Key, Found], source: Path) -> Listing:
    clips = {split: [(k, f) for k, f in found.items() if f.split == split and f.class_name] for split in SPLITS}
    for split in SPLITS:
        if not clips[split]:
            raise UserError(f"{source} holds neither {LISTS['train']} and {LISTS['test']} nor clips by class under "
                            f"{split}/; name the folder of the list files with `lists`")  # fmt: skip
    names = tuple(sorted({files.class_name for of_split in clips.values() for _, files in of_split}))
    splits = {
        split: [_clip(_name(key), names.index(files.class_name), files) for key, files in sorted(of_split, key=_order)]
        for split, of_split in clips.items()
    }
    return Listing(names, splits, {"split": "folders train and test"}, tuple(_remarks(names, found)))


def _remarks(names: tuple[str, ...], found: dict[Key, Found]) -> list[str]:
    """What a folder without lists should be asked about."""
    remarks = []
    if len(names) != LABELS:
        remarks.append(f"{len(names)} classes, Kinetics-Sounds has {LABELS}: its numbers are no measure for these; "
                       f"name the folder of {LISTS['train']} and {LISTS['test']} with `lists`, or move away what is "
                       f"none of its classes ({', '.join(names)})")  # fmt: skip
    if outside := [files for files in found.values() if files.split not in SPLITS or not files.class_name]:
        first = outside[0].film or outside[0].sound or outside[0].frames[0]
        remarks.append(f"{len(outside)} clip(s) lie in no class of train/ or test/ and are left out: {first}")
    return remarks


def _order(item: tuple[Key, Found]) -> tuple[str, str, int]:
    (youtube, start), files = item
    return files.class_name, youtube, -1 if start is None else start


def _name(key: Key) -> str:
    return key[0] if key[1] is None else f"{key[0]}_{key[1]}"


def _clip(name: str, label: int, files: Found | None) -> Clip:
    """Files of their own for sound and pictures, or the video for what they lack."""
    if files is None:
        return Clip(name, label, None, (), "no file of this name")
    images = tuple(files.frames) or ((files.film,) if files.film else ())
    sound = files.sound or files.film
    problem = "" if images and sound else f"has no {'sound' if images else 'video and no frames'}"
    return Clip(name, label, sound, images, problem)
