"""AV-Digits with a third modality: the same digit once more, scanned from the writing of other people.

Scans: 1797 digits of 43 writers, 8 x 8 in 17 grey levels, from NIST's forms (Alpaydin & Kaynak 1998), which
scikit-learn carries. Sound and images are those of :mod:`iemf.data.sets.av_digits`.

Of one digit there are 174 scans, so triples are fewer than pairs: 174 a digit, 90/28/56 in train/val/test. No
recording, image or scan is in two of them. Scans draw their signal-to-noise ratio from the range of the images.
"""

import gzip

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iemf.data.base import AudioVisualData, KeepInputs
from iemf.data.noise import Noise, standardise
from iemf.data.sets.av_digits import NOISE, PAIRING_SEED, SIZE, NoisyPairs, load_images, load_sounds, packaged_file
from iemf.seeds import Stream, mix_seed

SCAN = "scan"
SPLIT_PER_DIGIT = {"train": 90, "val": 28, "test": 56}
SIDE = 8


def load_scans() -> tuple[Tensor, Tensor]:
    """All scans, bilinear to 32 x 32 and standardised, [1797, 1, 32, 32], and their digits [1797]."""
    with gzip.open(packaged_file("sklearn", "datasets/data/digits.csv.gz"), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    pixels = torch.from_numpy(table[:, :-1]).view(-1, 1, SIDE, SIDE)
    large = F.interpolate(pixels, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
    return standardise(large), torch.from_numpy(table[:, -1]).long()


def triples(*digits: Tensor) -> dict[str, tuple[Tensor, ...]]:
    """{split: indices into each modality}: triples by digit, nothing twice, stratified splits.

    Args:
        digits: of each modality's samples, [n_m].
    """
    generator = torch.Generator().manual_seed(PAIRING_SEED)
    chosen: dict[str, list[tuple[Tensor, ...]]] = {split: [] for split in SPLIT_PER_DIGIT}
    for digit in range(10):
        orders = []
        for of_modality in digits:
            candidates = (of_modality == digit).nonzero()[:, 0]
            orders.append(candidates[torch.randperm(len(candidates), generator=generator)])
        start = 0
        for split, count in SPLIT_PER_DIGIT.items():
            chosen[split].append(tuple(order[start : start + count] for order in orders))
            start += count
    return {split: tuple(torch.cat(part) for part in zip(*parts, strict=True)) for split, parts in chosen.items()}


def load(seed: int = 0, noise: Noise = NOISE, test_noise: Noise | None = None) -> AudioVisualData:
    """900/280/560 triples; arguments and errors as of :func:`iemf.data.sets.av_digits.load`."""
    test_noise = test_noise or noise
    sounds, sound_digits = load_sounds()
    images, image_digits = load_images()
    scans, scan_digits = load_scans()
    splits = {}
    for number, (split, (a, v, s)) in enumerate(triples(sound_digits, image_digits, scan_digits).items()):
        splits[split] = NoisyPairs(
            sounds[a], images[v], sound_digits[a], test_noise if split == "test" else noise,
            mix_seed(Stream.FIXED_NOISE, PAIRING_SEED, number), {SCAN: scans[s]},
        )  # fmt: skip
    return AudioVisualData(
        name="av-digits-scan",
        classes=tuple(str(digit) for digit in range(10)),
        audio_channels=1,
        visual_channels=1,
        further_channels={SCAN: 1},
        front_end=KeepInputs(),
        set_epoch=lambda epoch: splits["train"].draw(mix_seed(Stream.TRAINING_NOISE, seed, epoch)),
        about={"triples": {split: len(data) for split, data in splits.items()}},
        **splits,
    )
