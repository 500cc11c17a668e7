"""One's own data: a tree ``train|val|test/<class>/`` of sound files and images that share a name.

    train/dog/0001.wav   train/dog/0001.jpg      one image, or
    train/dog/0002.flac  train/dog/0002/*.jpg    a folder of frames, or
    train/dog/0003.mp4                           a video, for both or, beside a sound file, for its pictures

:mod:`iemf.data.class_tree` reads it. Without ``val`` a tenth of each class of ``train`` is set aside, seeded. Sound
becomes the log-spectrogram of :mod:`iemf.data.audio`, computed on the device a batch at a time; images are cropped in
training and resized otherwise.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from iemf.data import audio, image, video
from iemf.data.assemble import assemble
from iemf.data.base import AudioVisualData
from iemf.data.class_tree import read_tree
from iemf.data.clip import Clip, is_image, is_video, visible
from iemf.data.clips import Choose
from iemf.data.preparation import manifest
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import Listing
from iemf.data.split import set_aside
from iemf.errors import UserError

PUBLISHED: dict[str, int] = {}
FORM = Form()


def list_clips(source: Path, lists: Path | None = None, seed: int = 0) -> Listing:
    """The tree as preparation takes it; ``lists`` must be None, and nothing is drawn with ``seed``.

    Raises:
        UserError: the tree is not of this form.
    """
    if lists is not None:
        raise UserError(f"`lists` {lists}: a folder has no lists; its splits are train/, val/ and test/")
    tree = read_tree(_unwrapped(source))
    return Listing(tree.classes, tree.splits, {"split": "folders"}, tree.remarks)


def _unwrapped(source: Path) -> Path:
    """The tree itself, where an archive has wrapped one folder around it."""
    inner = visible(source) if source.is_dir() else []
    return inner[0] if len(inner) == 1 and (inner[0] / "train").is_dir() else source


def clip_counts(root: Path) -> dict[str, int]:
    """{split: clips} of a tree, or of the folder that was prepared from it, once validation has its own.

    Raises:
        UserError: the tree is not of this form, or was not prepared to its end.
    """
    if manifest.is_prepared(root):
        clips = {split: about["by_class"] for split, about in manifest.read(root, "folder")["clips"].items()}
    else:
        clips = {split: Counter(clip.label for clip in found) for split, found in read_tree(root).splits.items()}
    counts = {split: sum(by_class.values()) for split, by_class in clips.items()}
    if "val" not in counts:
        counts["val"] = sum(map(set_aside, clips["train"].values()))
        counts["train"] -= counts["val"]
    return counts


def check_files(clips: list[Clip]) -> None:
    """Open every file's header, so that most broken ones are named now and not after hours of training.

    Damage behind the header shows when a file is decoded; the run's finished epochs are kept then.

    Raises:
        UserError: a clip that lacks something, or a file that is no sound, no image or no video.
    """
    if broken := [clip for clip in clips if clip.problem]:
        more = f" ({len(broken)} such clips of {len(clips)})" if len(broken) > 1 else ""
        raise UserError(f"{broken[0].files[0]} {broken[0].problem}{more}")
    for clip in tqdm(clips, desc="checking files", unit="clip", disable=len(clips) < 2000, leave=False):
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
    tree = read_tree(root)
    for clips in tree.splits.values():
        check_files(clips)
    sources = {split: Files(clips) for split, clips in tree.splits.items()}
    about = {"remarks": list(tree.remarks)} if tree.remarks else {}
    return assemble("folder", tree.classes, sources, root, about=about, **options)
