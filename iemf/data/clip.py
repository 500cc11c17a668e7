"""A clip as it lies on disk, before it is decoded."""

from dataclasses import dataclass
from pathlib import Path

from iemf.data import audio, image, video
from iemf.errors import UserError

LITTER = {"__macosx", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "recycler", "system volume information",
          "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini"}  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """One sample: where its sound and its pictures are, and its class.

    ``images`` are pictures in order, or a single video; ``sound`` is a sound file or a video. ``problem``, if any, is
    why the clip cannot be used, found before a file was opened; then one of them may be missing, and the other is just
    what the problem is about.
    """

    id: str
    label: int
    sound: Path | None
    images: tuple[Path, ...]
    problem: str = ""

    @property
    def film(self) -> Path | None:
        """The video that holds the pictures, None if they are files of their own."""
        return self.images[0] if self.images and self.images[0].suffix.lower() in video.EXTENSIONS else None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the clip, each once."""
        return tuple(dict.fromkeys([*([self.sound] if self.sound else []), *self.images]))


def is_sound(path: Path) -> bool:
    return path.suffix.lower() in audio.EXTENSIONS


def is_image(path: Path) -> bool:
    return path.suffix.lower() in image.EXTENSIONS


def is_video(path: Path) -> bool:
    return path.suffix.lower() in video.EXTENSIONS


def is_litter(name: str) -> bool:
    """Whether a name is hidden, or one that archivers, systems and network drives leave beside one's files."""
    return name.startswith(".") or name.casefold() in LITTER


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without what systems leave there.

    Raises:
        UserError: it cannot be listed.
    """
    return [path for path in listed(folder) if not is_litter(path.name)]


def listed(folder: Path) -> list[Path]:
    """Everything that a folder holds, by name.

    Raises:
        UserError: it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be listed ({error.strerror}); name a folder that can be read") from None
