"""A clip as it lies on disk, before it is decoded."""

from dataclasses import dataclass
from pathlib import Path

from iemf.data import audio, image, video
from iemf.errors import UserError


@dataclass(frozen=True)
class Clip:
    """One sample: where its sound and its pictures are, and its class.

    ``images`` are pictures in order, or a single video; ``sound`` is a sound file or a video. ``problem``, if any, is
    why the clip cannot be used, found before a file was opened; then ``sound`` or ``images`` may be missing.
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


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, hidden files aside.

    Raises:
        UserError: it cannot be listed.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{folder} cannot be listed ({error.strerror}); name a folder that can be read") from None
