"""A tree ``train|val|test/<class>/``: its clips, and a word about everything in it that is none.

``val`` may be called ``validation``, ``valid`` or ``dev``. Names are compared in Unicode's composed form (NFC): a zip
from a Mac has them decomposed.
"""

import mimetypes
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from iemf.data import audio, video
from iemf.data.clip import Clip, is_image, is_litter, is_sound, is_video, listed, visible
from iemf.data.clips import SPLITS
from iemf.data.names import composed, is_utf8, natural_order
from iemf.data.twins import find_twins
from iemf.errors import UserError

SPLIT_OF = {split: split for split in SPLITS} | dict.fromkeys(("validation", "valid", "dev"), "val")
SHOWN = 5  # kinds named in a remark


@dataclass
class Remarks:
    """What was found beside the clips."""

    litter: Counter = field(default_factory=Counter)  # what systems leave, by name
    folders: list[Path] = field(default_factory=list)  # that are no split, class or clip
    files: list[Path] = field(default_factory=list)  # that are no sound, picture or film

    def entries(self, folder: Path) -> list[Path]:
        """What a folder holds; what systems leave there is counted."""
        found = listed(folder)
        self.litter.update("._*" if path.name.startswith("._") else path.name for path in found if is_litter(path.name))
        return [path for path in found if not is_litter(path.name)]

    def lines(self) -> list[str]:
        """One for each kind of thing."""
        lines = []
        if self.litter:
            lines.append(f"{self.litter.total()} left by systems are ignored: {_counted(self.litter)}")
        if self.folders:
            named = ", ".join(map(str, self.folders[:SHOWN]))
            lines.append(f"{len(self.folders)} folder(s) that are no split, class or clip are not read: {named}")
        if self.files:
            kinds = Counter(path.suffix.lower() or "without a suffix" for path in self.files)
            lines.append(f"{len(self.files)} other file(s) are not read ({_counted(kinds)}): {self.files[0]}, ...")
        return lines


@dataclass(frozen=True)
class ClassTree:
    """Classes in order, the clips of each split, usable or not, and remarks, a line each."""

    classes: tuple[str, ...]
    splits: dict[str, list[Clip]]
    remarks: tuple[str, ...]


def read_tree(root: Path) -> ClassTree:
    """Look at the names of a tree; of the files only those alike in two splits are opened.

    A clip that lacks sound or pictures, media of a kind that is not read, and media in a folder too deep have a
    ``problem``.

    Raises:
        UserError: the tree is not of this form.
    """
    remarks = Remarks()
    folders = _split_folders(root, remarks)
    class_folders = {split: _class_folders(folder, remarks) for split, folder in folders.items()}
    classes = tuple(sorted(class_folders["train"]))
    if len(classes) < 2:
        raise UserError(f"{folders['train']} holds {len(classes)} class folder(s) {list(classes)}; two or more are "
                        f"needed")  # fmt: skip
    for of_split in class_folders.values():
        if strangers := [path for name, path in of_split.items() if name not in classes]:
            raise UserError(f"{strangers[0]} is not a class of train ({', '.join(classes)}); move or rename it")
    splits = {}
    for split, of_split in class_folders.items():
        splits[split] = []
        for label, name in enumerate(classes):
            here = of_split.get(name, folders[split] / name)
            clips = list_class(here, label, remarks) if here.is_dir() else []
            if not clips:
                kinds = ", ".join((*audio.EXTENSIONS, *video.EXTENSIONS))
                raise UserError(f"{here} holds no sound file and no video ({kinds}); every class needs some")
            splits[split] += clips
    return ClassTree(classes, splits, (*remarks.lines(), *map(str, find_twins(splits))))


def _split_folders(root: Path, remarks: Remarks) -> dict[str, Path]:
    """{"train", "test" and, if it is there, "val": folder}, in the order of SPLITS."""
    found: dict[str, Path] = {}
    others = []
    for path in remarks.entries(root) if root.is_dir() else []:
        split = SPLIT_OF.get(path.name.casefold())
        if not path.is_dir():
            remarks.files.append(path)
        elif split is None:
            others.append(path)
        elif split in found:
            raise UserError(f"{found[split]} and {path} are both {split}; merge them or move one away")
        else:
            found[split] = path
    beside = f"; {root} holds {', '.join(path.name for path in others[:SHOWN])}" if others else ""
    if "train" not in found:
        raise UserError(f"{root / 'train'} is not a folder; `data_root` must hold train/<class>/ and "
                        f"test/<class>/{beside}")  # fmt: skip
    if "test" not in found:
        raise UserError(f"{root / 'test'} is missing; the test split is yours to choose and is read once, at the "
                        f"end{beside}")  # fmt: skip
    remarks.folders += others
    return {split: found[split] for split in SPLITS if split in found}


def _class_folders(folder: Path, remarks: Remarks) -> dict[str, Path]:
    """{class: its folder}."""
    found: dict[str, Path] = {}
    for path in remarks.entries(folder):
        name = composed(path.name)
        if not path.is_dir():
            remarks.files.append(path)
        elif not is_utf8(name):
            raise UserError(f"{folder} holds a class {name!a} whose name is not UTF-8; rename the folder")
        elif name in found:
            raise UserError(f"{folder} holds the class {name!r} twice, its name written in two forms of Unicode; merge "
                            f"the folders")  # fmt: skip
        else:
            found[name] = path
    return found


def list_class(folder: Path, label: int, remarks: Remarks) -> list[Clip]:
    """The clips of one class, by name: files that share a stem belong together.

    Raises:
        UserError: two files of one kind share a name.
    """
    entries = remarks.entries(folder)
    folders = {composed(path.name): path for path in entries if path.is_dir()}
    files = [path for path in entries if not path.is_dir()]
    sounds, pictures, films = (by_stem(filter(kind, files)) for kind in (is_sound, is_image, is_video))
    rest = [path for path in files if not (is_sound(path) or is_image(path) or is_video(path))]
    unread = {composed(path.stem): path for path in rest if is_media(path)}
    remarks.files += [path for path in rest if not is_media(path)]
    clips = []
    for stem in sorted(sounds | films):
        clip = Clip(stem, label, sounds.get(stem, films.get(stem)), ())
        clips.append(_find_images(clip, pictures, films, folders.get(stem)))
    alone = sorted(pictures.keys() - sounds.keys() - films.keys())
    clips += [Clip(stem, label, None, (pictures[stem],), f"has no sound beside it: expected {stem}.wav, .mp3, .m4a or "
                   f".mp4") for stem in alone]  # fmt: skip
    others = sorted(unread.keys() - sounds.keys() - films.keys() - pictures.keys())
    clips += [Clip(stem, label, unread[stem], (), f"is of a kind that is not read ({unread[stem].suffix}); convert it")
              for stem in others]  # fmt: skip
    for name, path in folders.items():
        if not (name in sounds | films and any(map(is_image, visible(path)))):  # frames of a clip
            clips += _too_deep(name, path, label, remarks)
    return [clip if is_utf8(clip.id) else _renamed(clip) for clip in sorted(clips, key=lambda clip: clip.id)]


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """{name without suffix: file}.

    Raises:
        UserError: two files of one kind share a name.
    """
    found: dict[str, Path] = {}
    for path in files:
        stem = composed(path.stem)
        if stem in found:
            raise UserError(f"{found[stem]} and {path.name} have one name; which belongs to the clip? Rename one")
        found[stem] = path
    return found


def is_media(path: Path) -> bool:
    """Whether a file's name is that of sound, pictures or film, of a kind that is read or not."""
    if is_sound(path) or is_image(path) or is_video(path):
        return True
    kind = mimetypes.guess_type(path.name)[0] or ""
    return kind.startswith(("audio/", "image/", "video/"))


def _find_images(clip: Clip, pictures: dict[str, Path], films: dict[str, Path], folder: Path | None) -> Clip:
    """The clip with the image of its name, or the frames in the folder of its name in order, or the video."""
    if clip.id in pictures:
        return replace(clip, images=(pictures[clip.id],))
    frames = sorted(filter(is_image, visible(folder)), key=natural_order) if folder is not None else []
    if frames:
        return replace(clip, images=tuple(frames))
    if clip.id in films:
        return replace(clip, images=(films[clip.id],))
    return replace(clip, problem=f"has no image beside it: expected {clip.id}.jpg, .png, .mp4 or a folder {clip.id}/")


def _too_deep(name: str, folder: Path, label: int, remarks: Remarks) -> list[Clip]:
    """The clips in a folder that is no clip's: each has the problem that it lies there."""
    entries = remarks.entries(folder)
    inner = [path for path in entries if path.is_dir()]
    clips = [clip for path in inner for clip in _too_deep(f"{name}/{composed(path.name)}", path, label, remarks)]
    files = [path for path in entries if not path.is_dir()]
    heard = {composed(path.stem): path for path in files if not is_image(path) and is_media(path)}
    if not heard and (pictures := [path for path in files if is_image(path)]):
        problem = f"lies in {name}/, a folder of pictures without a sound of its name: expected {name}.wav or .mp4"
        clips.append(Clip(name, label, None, tuple(pictures), problem))
    problem = f"lies in {name}/, too deep to be read; move it into its class's folder"
    clips += [Clip(f"{name}/{stem}", label, path, (), problem) for stem, path in heard.items()]
    if not entries:
        remarks.folders.append(folder)
    return clips


def _renamed(clip: Clip) -> Clip:
    return replace(clip, problem=f"has a name that is not UTF-8, {clip.id!a}; rename the file")


def _counted(what: Counter) -> str:
    more = f" and {len(what) - SHOWN} more kinds" if len(what) > SHOWN else ""
    return ", ".join(f"{name} {count}" for name, count in what.most_common(SHOWN)) + more
