"""Clips as training reads them: a waveform of fixed length, N frames cropped or resized, noise if asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from iemf.data import audio, image
from iemf.data.audio import SpectrogramForm
from iemf.data.base import Batch
from iemf.data.noise import CLEAN, Noise, add_noise, draw_snr
from iemf.seeds import Stream, mix_seed, seeded

SPLITS = ("train", "val", "test")
Choose = Callable[[int], Sequence[int]]


class ClipSource(Protocol):
    """Where clips come from: files, or shards that were prepared from them."""

    labels: Sequence[int]

    def read(self, index: int, choose: Choose, seconds: float) -> tuple[Tensor, Tensor]:
        """(wave [n] at 22.05 kHz, float in ±1 or int16; frames [N, 3, H, W] uint8) of one clip.

        ``choose`` maps the number of frames there are to the positions wanted; at least ``seconds`` of the sound are
        returned where there are as many.
        """
        ...


@dataclass(frozen=True)
class View:
    """What training sees of a clip: N frames of size x size pixels, and the length of the sound in seconds.

    ``crop_from``: in evaluation the shorter side is resized to this and the middle is cut out; None: all is resized.
    """

    frames: int = 1
    size: int = 224
    seconds: float = audio.SECONDS
    crop_from: int | None = None


def spread(count: int, offsets: Sequence[float]) -> list[int]:
    """Positions of N = len(offsets) evenly spaced frames out of ``count``: frame k lies at (k + offset)/N of the clip.

    Offsets in [0, 1): 0.5 is the middle of each part; drawn at random, they are the jitter of training, and for one
    frame any frame. Where there are fewer frames than wanted, some come twice.
    """
    return [int((k + offset) * count / len(offsets)) for k, offset in enumerate(offsets)]


class Clips(Dataset):
    """Batch(wave [n], frames [N, 3, size, size], or [3, size, size] for N = 1, label) of some rows of a source.

    The wave is int16 or float32, the frames are uint8; either is float32 where noise was added. Crops, jitter and noise
    depend on (seed, epoch, row) alone: not on how many workers read, nor on where a run was resumed.
    Without ``training`` nothing is random but the noise, which is the same in every epoch and for every seed; ``part``
    tells the splits' noise apart.
    """

    def __init__(
        self,
        source: ClipSource,
        rows: Sequence[int],
        view: View,
        training: bool,
        seed: int = 0,
        noise: Noise = Noise(),  # noqa: B008  immutable
        part: int = 0,
    ) -> None:
        self.source, self.rows, self.view, self.training = source, list(rows), view, training
        self.seed, self.epoch, self.noise, self.part = seed, 0, noise, part
        self.length = round(view.seconds * audio.SAMPLE_RATE)
        self.transform = (
            image.training_transform(view.size) if training else image.evaluation_transform(view.size, view.crop_from)
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> list[int]:
        """Of every row."""
        return [self.source.labels[row] for row in self.rows]

    def __getitem__(self, index: int) -> Batch:
        row = self.rows[index]
        with seeded(mix_seed(Stream.AUGMENTATION, self.seed, self.epoch, row)):
            offsets = torch.rand(self.view.frames).tolist() if self.training else [0.5] * self.view.frames
            wave, frames = self.source.read(row, lambda count: spread(count, offsets), self.view.seconds)
            frames = self.transform(frames)
        wave, frames = self._disturb(audio.fit(wave, self.length), frames, row)
        return Batch(wave, frames if self.view.frames > 1 else frames[0], torch.tensor(self.source.labels[row]))

    def _disturb(self, wave: Tensor, frames: Tensor, row: int) -> tuple[Tensor, Tensor]:
        """Noise at the ratio that this sample draws: to the sound's mean square, to the pictures' variance."""
        if self.noise == Noise():
            return wave, frames
        stream = (Stream.TRAINING_NOISE, self.seed, self.epoch) if self.training else (Stream.FIXED_NOISE, self.part)
        generator = torch.Generator().manual_seed(mix_seed(*stream, row))
        ratios = [draw_snr(1, *snr, generator) for snr in self.noise]
        if self.noise.audio != CLEAN:
            wave = add_noise(audio.to_float(wave)[None], ratios[0], generator)[0]
        if self.noise.visual != CLEAN:
            pictures = frames.float()
            mean = pictures.mean()
            frames = mean + add_noise((pictures - mean)[None], ratios[1], generator)[0]
        return wave, frames


class FrontEnd(nn.Module):
    """Waveforms to log-spectrograms, pixels of 0 to 255 to normalised ones; on the device, once a batch.

    Args:
        spectrogram: see :class:`iemf.data.audio.SpectrogramForm`.
    """

    def __init__(self, spectrogram: SpectrogramForm = SpectrogramForm()) -> None:  # noqa: B008  immutable
        super().__init__()
        self.spectrogram, self.normalise = audio.LogSpectrogram(spectrogram), image.Normalise()

    def forward(self, wave: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return self.spectrogram(audio.to_float(wave)), self.normalise(pictures)
