"""One's own data: a tree ``train|val|test/<class>/`` of sound files and images that share a name.

    train/dog/0001.wav   train/dog/0001.jpg      one image, or
    train/dog/0002.flac  train/dog/0002/*.jpg    a folder of frames

Without ``val`` a tenth of each class of ``train`` is set aside, seeded. Sound becomes the log-spectrogram of
:mod:`iemf.data.audio`, computed on the device a batch at a time; images are cropped in training and resized otherwise.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from iemf.data import audio, image
from iemf.data.base import AudioVisualData, Batch
from iemf.errors import UserError
from iemf.seeds import Stream, mix_seed

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Clip:
    """One sample on disk: a sound file, its image or frames in order, its class."""

    sound: Path
    images: tuple[Path, ...]
    label: int


def list_classes(root: Path) -> tuple[str, ...]:
    """The class names of ``root/train`` in order.

    Raises:
        UserError: no such folder, or fewer than two classes.
    """
    train = root / "train"
    if not train.is_dir():
        raise UserError(f"{train} is not a folder; --data-root must hold train/<class>/ and test/<class>/")
    classes = tuple(sorted(p.name for p in train.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(classes) < 2:
        raise UserError(f"{train} holds {len(classes)} class folder(s) {list(classes)}; two or more are needed")
    return classes


def list_split(folder: Path, classes: tuple[str, ...]) -> list[Clip]:
    """Every clip of one split, by class and name.

    Raises:
        UserError: a folder that is not a class of train, an empty class, a sound without image.
    """
    strangers = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name not in classes)
    strangers = [name for name in strangers if not name.startswith(".")]
    if strangers:
        raise UserError(f"{folder / strangers[0]} is not a class of train ({', '.join(classes)}); move or rename it")
    clips = []
    for label, name in enumerate(classes):
        here = folder / name
        sounds = sorted(p for p in here.glob("*") if p.suffix.lower() in audio.EXTENSIONS)
        if not sounds:
            raise UserError(f"{here} holds no sound file ({', '.join(audio.EXTENSIONS)}); every class needs some")
        pictures = {p.stem: p for p in sorted(here.glob("*")) if p.suffix.lower() in image.EXTENSIONS}
        clips += [Clip(sound, find_images(sound, pictures), label) for sound in sounds]
    return clips


def find_images(sound: Path, pictures: dict[str, Path]) -> tuple[Path, ...]:
    """The image beside a sound, from ``pictures`` by stem, or the frames in the folder of its name, in order."""
    if sound.stem in pictures:
        return (pictures[sound.stem],)
    frames = [p for p in sound.with_suffix("").glob("*") if p.suffix.lower() in image.EXTENSIONS]
    if not frames:
        raise UserError(
            f"{sound} has no image beside it: expected {sound.stem}.jpg, .png or a folder {sound.stem}/ of frames"
        )
    return tuple(sorted(frames, key=natural_order))


def natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key by which frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def check_files(clips: list[Clip]) -> None:
    """Open every file's header, so that most broken ones are named now and not after hours of training.

    Damage behind the header shows when a file is decoded; the run's finished epochs are kept then.

    Raises:
        UserError: a file that is no sound or no image.
    """
    for clip in tqdm(clips, desc="checking files", unit="clip", disable=len(clips) < 2000, leave=False):
        try:
            frames = soundfile.info(clip.sound).frames
        except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
            raise UserError(f"{clip.sound} cannot be read as sound ({error}); repair or remove it") from None
        if frames == 0:
            raise UserError(f"{clip.sound} holds no sound; repair or remove it")
        for path in clip.images:
            try:
                with Image.open(path):
                    pass
            except (UnidentifiedImageError, OSError) as error:
                raise UserError(f"{path} cannot be read as an image ({error}); repair or remove it") from None


def split_validation(clips: list[Clip], seed: int, folder: Path) -> tuple[list[Clip], list[Clip]]:
    """(train, val): a tenth of each class, at least one clip, drawn with ``seed``.

    Raises:
        UserError: a class of fewer than two clips.
    """
    generator = torch.Generator().manual_seed(seed)
    kept, set_aside = [], []
    for label in sorted({clip.label for clip in clips}):
        of_class = [clip for clip in clips if clip.label == label]
        if len(of_class) < 2:
            raise UserError(f"{of_class[0].sound.parent} holds one clip; validation needs a second one")
        order = torch.randperm(len(of_class), generator=generator).tolist()
        count = max(1, round(VALIDATION_SHARE * len(of_class)))
        set_aside += [of_class[i] for i in order[:count]]
        kept += [of_class[i] for i in sorted(order[count:])]
    return kept, set_aside


class Clips(Dataset):
    """Decoded on demand: Batch(wave [n], frames [N, 3, size, size] uint8, or [3, size, size] for N = 1, label).

    Augmentation depends on (seed, epoch, index) alone: not on how many workers read, nor on where a run was resumed.
    """

    def __init__(self, clips: list[Clip], frames: int, size: int, seconds: float, training: bool, seed: int) -> None:
        self.clips, self.frames, self.seed, self.epoch = clips, frames, seed, 0
        self.length = round(seconds * audio.SAMPLE_RATE)
        self.transform = image.training_transform(size) if training else image.evaluation_transform(size)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Batch:
        clip = self.clips[index]
        wave = audio.fit(audio.read(clip.sound), self.length)
        picks = [clip.images[(2 * i + 1) * len(clip.images) // (2 * self.frames)] for i in range(self.frames)]
        images = [image.read(path) for path in picks]
        if len({picture.shape for picture in images}) > 1:
            raise UserError(f"{picks[0].parent}: the frames of a clip must have one size, got "
                            f"{sorted({tuple(p.shape[1:]) for p in images})}")  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix_seed(Stream.AUGMENTATION, self.seed, self.epoch, index))
            pictures = self.transform(torch.stack(images))
        return Batch(wave, pictures if self.frames > 1 else pictures[0], torch.tensor(clip.label))


class FrontEnd(nn.Module):
    """Waveforms to log-spectrograms, uint8 images to normalised ones."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram, self.normalise = audio.LogSpectrogram(), image.Normalise()

    def forward(self, wave: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.spectrogram(wave), self.normalise(pictures)


def load(
    root: Path, seed: int = 0, image_size: int = 224, frames: int = 1, seconds: float = audio.SECONDS
) -> AudioVisualData:
    """The tree under ``root``.

    Args:
        root: holds ``train``, ``test`` and, if the split is yours to choose, ``val``.
        seed: of the validation split and of the augmentation.
        image_size: side of the square images, pixels.
        frames: N, evenly spaced frames of each clip (1 gives visual [B, 3, H, W], more [B, N, 3, H, W]).
        seconds: length of the sound, repeated or cut to fit.

    Raises:
        UserError: the tree is not of this form, or a file in it cannot be read; the message names it.
    """
    classes = list_classes(root)
    if not (root / "test").is_dir():
        raise UserError(f"{root / 'test'} is missing; the test split is yours to choose and is read once, at the end")
    train = list_split(root / "train", classes)
    test = list_split(root / "test", classes)
    check_files(train + test)
    if (root / "val").is_dir():
        val = list_split(root / "val", classes)
        check_files(val)
    else:
        train, val = split_validation(train, seed, root / "train")
    splits = {
        name: Clips(clips, frames, image_size, seconds, training=name == "train", seed=seed)
        for name, clips in (("train", train), ("val", val), ("test", test))
    }
    return AudioVisualData(
        name="folder",
        classes=classes,
        audio_channels=1,
        visual_channels=3,
        front_end=FrontEnd(),
        set_epoch=lambda epoch: setattr(splits["train"], "epoch", epoch),
        about={"root": str(root), "clips": {name: len(split) for name, split in splits.items()}},
        **splits,
    )
