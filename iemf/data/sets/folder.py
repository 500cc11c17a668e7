"""One's own data: a tree ``train|val|test/<class>/`` of sound files and images that share a name.

    train/dog/0001.wav   train/dog/0001.jpg      one image, or
    train/dog/0002.flac  train/dog/0002/*.jpg    a folder of frames, or
    train/dog/0003.mp4                           a video, for both or, beside a sound file, for its pictures

Without ``val`` a tenth of each class of ``train`` is set aside, seeded. Sound becomes the log-spectrogram of
:mod:`iemf.data.audio`, computed on the device a batch at a time; images are cropped in training and resized otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from iemf.data import audio, image, video
from iemf.data.assemble import assemble
from iemf.data.base import AudioVisualData
from iemf.data.clip import Clip, is_image, is_sound, is_video, visible
from iemf.data.clips import SPLITS, Choose
from iemf.data.names import natural_order
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import Listing
from iemf.errors import UserError


def list_classes(root: Path) -> tuple[str, ...]:
    """The class names of ``root/train`` in order.

    Raises:
        UserError: no such folder, or fewer than two classes.
    """
    train = root / "train"
    if not train.is_dir():
        raise UserError(f"{train} is not a folder; `data_root` must hold train/<class>/ and test/<class>/")
    classes = tuple(sorted(p.name for p in train.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(classes) < 2:
        raise UserError(f"{train} holds {len(classes)} class folder(s) {list(classes)}; two or more are needed")
    return classes


PUBLISHED: dict[str, int] = {}
FORM = Form()


def list_clips(source: Path, lists: Path | None = None, seed: int = 0) -> Listing:
    """The tree as preparation takes it; ``lists`` must be None, and nothing is drawn with ``seed``.

    Raises:
        UserError: the tree is not of this form.
    """
    if lists is not None:
        raise UserError(f"`lists` {lists}: a folder has no lists; its splits are train/, val/ and test/")
    return Listing(*list_tree(source), {"split": "folders"})


def list_tree(root: Path) -> tuple[tuple[str, ...], dict[str, list[Clip]]]:
    """(class names, {"train", "test" and, if it is there, "val": clips}).

    Raises:
        UserError: the tree is not of this form.
    """
    classes = list_classes(root)
    if not (root / "test").is_dir():
        raise UserError(f"{root / 'test'} is missing; the test split is yours to choose and is read once, at the end")
    splits = [split for split in SPLITS if (root / split).is_dir()]
    return classes, {split: list_split(root / split, classes) for split in splits}


def list_split(folder: Path, classes: tuple[str, ...]) -> list[Clip]:
    """Every clip of one split, by class and name; a clip without sound or image has a ``problem``.

    Raises:
        UserError: a folder that is not a class of train, or an empty class.
    """
    strangers = [path for path in visible(folder) if path.is_dir() and path.name not in classes]
    if strangers:
        raise UserError(f"{strangers[0]} is not a class of train ({', '.join(classes)}); move or rename it")
    clips = []
    for label, name in enumerate(classes):
        here = folder / name
        files = visible(here) if here.is_dir() else []
        of_class = list_class(files, label)
        if not of_class:
            kinds = ", ".join((*audio.EXTENSIONS, *video.EXTENSIONS))
            raise UserError(f"{here} holds no sound file and no video ({kinds}); every class needs some")
        clips += of_class
    return clips


def list_class(files: list[Path], label: int) -> list[Clip]:
    """The clips among the files of one class: those that share a stem belong together."""
    sounds, pictures, films = (by_stem(filter(kind, files)) for kind in (is_sound, is_image, is_video))
    return [
        find_images(Clip(stem, label, sounds.get(stem, films.get(stem)), ()), pictures, films)
        for stem in sorted(sounds | films)
    ]


def by_stem(files: Iterable[Path]) -> dict[str, Path]:
    """{name without suffix: file}.

    Raises:
        UserError: two files of one kind share a name.
    """
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            raise UserError(f"{found[path.stem]} and {path.name} have one name; which belongs to the clip? Rename one")
        found[path.stem] = path
    return found


def find_images(clip: Clip, pictures: dict[str, Path], films: dict[str, Path]) -> Clip:
    """The clip with the image of its name, or the frames in the folder of its name in order, or the video."""
    if clip.id in pictures:
        return replace(clip, images=(pictures[clip.id],))
    beside = clip.sound.with_suffix("")
    frames = sorted(filter(is_image, visible(beside)), key=natural_order) if beside.is_dir() else []
    if frames:
        return replace(clip, images=tuple(frames))
    if clip.id in films:
        return replace(clip, images=(films[clip.id],))
    return replace(clip, problem=f"has no image beside it: expected {clip.id}.jpg, .png, .mp4 or a folder {clip.id}/")


def check_files(clips: list[Clip]) -> None:
    """Open every file's header, so that most broken ones are named now and not after hours of training.

    Damage behind the header shows when a file is decoded; the run's finished epochs are kept then.

    Raises:
        UserError: a clip that lacks something, or a file that is no sound, no image or no video.
    """
    for clip in tqdm(clips, desc="checking files", unit="clip", disable=len(clips) < 2000, leave=False):
        if clip.problem:
            raise UserError(f"{clip.sound} {clip.problem}")
        for path in clip.files:
            (video.check if is_video(path) else image.check if is_image(path) else audio.check)(path)


class Files:
    """Clips that are decoded from their files each time; see :class:`iemf.data.clips.ClipSource`."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips, self.labels = clips, [clip.label for clip in clips]

    def read(self, index: int, choose: Choose, seconds: float) -> tuple[Tensor, Tensor]:
        """Sound and chosen frames.

        Raises:
            UserError: a file cannot be decoded, or the frames differ in size.
        """
        clip = self.clips[index]
        wave = audio.read(clip.sound, seconds=seconds)
        if clip.film is not None:
            return wave, torch.from_numpy(np.stack(video.frames(clip.film, choose))).movedim(-1, -3)
        pictures = [image.read(clip.images[position]) for position in choose(len(clip.images))]
        if len({picture.shape for picture in pictures}) > 1:
            raise UserError(f"{clip.images[0].parent}: the frames of a clip must have one size, got "
                            f"{sorted({tuple(p.shape[1:]) for p in pictures})}")  # fmt: skip
        return wave, image.stack(pictures)


def load(root: Path, **options) -> AudioVisualData:
    """The tree under ``root``.

    Args:
        root: holds ``train``, ``test`` and, if the split is yours to choose, ``val``.
        options: seed, view, noise, test_noise and spectrogram and split_seed of :func:`iemf.data.assemble.assemble`.

    Raises:
        UserError: the tree is not of this form, or a file in it cannot be read; the message names it.
    """
    classes, splits = list_tree(root)
    for clips in splits.values():
        check_files(clips)
    return assemble("folder", classes, {split: Files(clips) for split, clips in splits.items()}, root, **options)
