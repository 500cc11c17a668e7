"""av-digits-ci: AV-Digits as a class-incremental benchmark, five tasks of two digits, by fixed transforms.

A sample's picture becomes four views of the same image, each under noise of its own; a view becomes a grid of 4 x 4
places with a histogram of oriented gradients (Dalal & Triggs 2005) of the window around each: [4, 16, 64]. Its sound,
the log-mel image under noise, is averaged over blocks of two bands and four frames: [128]. Nothing is learnt, so no
feature has seen a class before its task.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from iemf.continual.data import ContinualData, FeatureSplit, equal_tasks
from iemf.data.noise import Noise, add_noise, draw_snr, standardise
from iemf.data.sets import av_digits
from iemf.seeds import Stream, mix_seed

TASKS = 5
VIEWS = 4
ORIENTATIONS = 4
CELL = 4  # pixels
NOISE = Noise((-10.0, 5.0), (-10.0, 5.0))  # dB, drawn for each sample and modality


def oriented_gradients(images: Tensor) -> Tensor:
    """[N, 1, 32, 32] -> [N, 16, 64]: at 4 x 4 places, windows of 16 x 16 pixels, 4 x 4 cells of 4 orientations.

    The energy in an orientation is |dx cos + dy sin|, averaged over cells of 4 x 4 pixels; a window's values are
    divided by their length.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    dx = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    dy = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    angles = torch.arange(ORIENTATIONS) * math.pi / ORIENTATIONS
    directions = torch.stack([angles.cos(), angles.sin()], dim=1)
    energy = (torch.cat([dx, dy], dim=1).unsqueeze(1) * directions[None, :, :, None, None]).sum(2).abs()
    cells = F.avg_pool2d(energy, CELL)  # [N, 4, 8, 8]
    windows = F.unfold(F.pad(cells, (1, 1, 1, 1)), kernel_size=4, stride=2)  # [N, 4 * 16, 16]
    return F.normalize(windows.transpose(1, 2), dim=2)


def features(split: av_digits.NoisyPairs, noise: Noise, seed: int) -> FeatureSplit:
    """The features of clean pairs under fresh noise of ``seed``."""
    generator = torch.Generator().manual_seed(seed)
    count = len(split)
    ratios = {name: draw_snr(count, *getattr(noise, name), generator) for name in ("audio", "visual")}
    sound = standardise(add_noise(split.clean["audio"], ratios["audio"], generator))
    views = [
        oriented_gradients(standardise(add_noise(split.clean["visual"], ratios["visual"], generator)))
        for _ in range(VIEWS)
    ]
    audio = F.avg_pool2d(sound, (2, 4)).flatten(1)
    return FeatureSplit(audio.half().numpy(), torch.stack(views, dim=1).half().numpy(), split.labels)


def load(noise: Noise = NOISE, tasks: int = TASKS) -> ContinualData:
    """The benchmark; it is the same for every seed of training.

    Args:
        noise: ranges of the signal-to-noise ratios.
        tasks: how many of equal size the ten digits are split into.

    Raises:
        UserError: a data package is missing, or the digits do not divide.
    """
    pairs = av_digits.load(noise=noise)
    splits = {
        name: features(getattr(pairs, name), noise, mix_seed(Stream.FIXED_NOISE, av_digits.PAIRING_SEED, number, 1))
        for number, name in enumerate(("train", "val", "test"))
    }
    return ContinualData("av-digits-ci", pairs.classes, equal_tasks(10, tasks), **splits)
