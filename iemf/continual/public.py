"""The lists of the public AV-CIL release (Pian et al. 2023): which videos are of which class and split.

    all_classId_vid_dict.npy    {"train" | "val" | "test": {class id: [video id, ...]}}
    category_encode_dict.npy    {class name: class id}

Task t learns the t-th group of consecutive class ids.
"""

from pathlib import Path
from typing import NamedTuple

from iemf.continual import pickled
from iemf.errors import UserError

VIDEOS = "all_classId_vid_dict.npy"
CLASSES = "category_encode_dict.npy"
SPLITS = ("train", "val", "test")


class Lists(NamedTuple):
    """Class names in the order of their ids, and {split: {class id: video ids}}."""

    classes: tuple[str, ...]
    splits: dict[str, dict[int, tuple[str, ...]]]

    def ids(self, split: str) -> list[str]:
        """The split's videos, class after class."""
        return [video for videos in self.splits[split].values() for video in videos]

    def labels(self, split: str) -> list[int]:
        """Their classes."""
        return [label for label, videos in self.splits[split].items() for _ in videos]


def read_lists(folder: Path) -> Lists:
    """Both files, checked.

    Raises:
        UserError: a file is missing or refused, ids are not 0, 1, ..., a class is empty in a split, or a video is
            listed twice.
    """
    numbers = pickled.load(folder / CLASSES)
    try:
        names = {int(number): str(name) for name, number in numbers.items()}
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{folder / CLASSES} must give each class name its number; get it anew") from None
    if sorted(names) != list(range(len(numbers))):
        raise UserError(f"{folder / CLASSES} numbers its {len(numbers)} classes {sorted(names)[:3]} ..., "
                        f"not 0, 1, ...; get it anew")  # fmt: skip
    classes = tuple(names[number] for number in range(len(names)))
    content = pickled.load(folder / VIDEOS)
    return check(folder / VIDEOS, classes, content)


def check(path: Path, classes: tuple[str, ...], content: dict) -> Lists:
    """Lists from {split: {class id: video ids}} as a file has it.

    Raises:
        UserError: see :func:`read_lists`; it names ``path``.
    """
    seen: dict[str, str] = {}
    splits = {}
    for split in SPLITS:
        try:
            found = {int(label): tuple(map(str, videos)) for label, videos in content[split].items()}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise UserError(f"{path} has no dict of class ids and videos for {split!r}; get it anew") from None
        if strange := sorted(found.keys() - set(range(len(classes)))):
            raise UserError(f"{path}: {split} has class id {strange[0]}, there are {len(classes)} classes; get it anew")
        empty = [name for label, name in enumerate(classes) if not found.get(label)]
        if empty:
            raise UserError(f"{path}: class {empty[0]!r} has no sample in {split}" + also(len(empty), "such classes"))
        for videos in found.values():
            for video in videos:
                if video in seen:
                    raise UserError(f"{path} lists {video!r} twice, in {seen[video]} and {split}; get it anew")
                seen[video] = split
        splits[split] = {label: found[label] for label in range(len(classes))}
    return Lists(classes, splits)


def also(count: int, what: str) -> str:
    """How many there are if more than the one that was named."""
    return f" ({count} {what})" if count > 1 else ""
