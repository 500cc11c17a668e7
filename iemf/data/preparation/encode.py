"""One clip from its files to the bytes that a shard holds."""

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from iemf.data import audio, image, video
from iemf.data.clip import Clip
from iemf.data.clips import spread
from iemf.data.preparation.shard import Row
from iemf.errors import UserError

SILENCE = 1e-4  # peak of a sound that counts as silent: 80 dB below full scale
GIT_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class Form:
    """How clips are stored.

    Args:
        seconds: of sound from the clip's beginning, at most.
        frames: pictures of a clip, evenly spaced in time, at most.
        frame_size: pixels of a picture's short side, at most.
        quality: of the JPEG files, 1 to 95.
    """

    seconds: float = audio.SECONDS
    frames: int = 16
    frame_size: int = 256
    quality: int = 92


def encode(clip: Clip, form: Form) -> Row:
    """Decode a clip's files and bring them to the stored form.

    Raises:
        UserError: why it has to be skipped: something is missing, broken, truncated or silent.
    """
    if clip.problem:
        raise UserError(clip.problem)
    for path in clip.files:
        _check_content(path)
    wave = audio.read(clip.sound, seconds=form.seconds)
    if wave.abs().max() < SILENCE:
        raise UserError(f"{clip.sound} is silent in its first {form.seconds:g} s; repair or remove it")
    samples = audio.to_int16(wave).numpy().astype("<i2").tobytes()
    if clip.film is not None:
        pictures = video.frames(clip.film, lambda count: evenly(count, form.frames), form.frame_size)
        return Row(clip.id, clip.label, samples, [_as_jpeg(Image.fromarray(p), form.quality) for p in pictures])
    chosen = [clip.images[position] for position in evenly(len(clip.images), form.frames)]
    return Row(clip.id, clip.label, samples, _read_images(chosen, form))


def _check_content(path: Path) -> None:
    try:
        with path.open("rb") as file:
            begin = file.read(len(GIT_LFS))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); repair or remove it") from None
    if not begin:
        raise UserError(f"{path} is empty; repair or remove it")
    if begin == GIT_LFS:
        raise UserError(f"{path} is a Git LFS pointer, not the file itself; run git lfs pull")


def evenly(count: int, most: int) -> list[int]:
    """Positions of at most ``most`` evenly spaced frames out of ``count``, none of them twice."""
    return spread(count, [0.5] * min(count, most))


def _read_images(paths: list[Path], form: Form) -> list[bytes]:
    files, sizes = [], set()
    for path in paths:
        picture, as_it_is = image.open_rgb(path)
        # A JPEG file that fits is taken as it is: encoding it again would only lose.
        keep = as_it_is and min(picture.size) <= form.frame_size
        files.append(path.read_bytes() if keep else _as_jpeg(_shrink(picture, form.frame_size), form.quality))
        sizes.add(picture.size)
    if len(sizes) > 1:
        raise UserError(f"{paths[0].parent}: the frames of the clip differ in size: {sorted(sizes)}")
    return files


def _shrink(picture: Image.Image, short_side: int) -> Image.Image:
    scale = short_side / min(picture.size)
    if scale >= 1:
        return picture
    return picture.resize(tuple(max(1, round(side * scale)) for side in picture.size), Image.Resampling.BICUBIC)


def _as_jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
