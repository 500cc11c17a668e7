"""Sound: reading files, bringing them to one rate and length, and the log-spectrogram the encoders see."""

from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor, nn

from iemf.errors import UserError

SAMPLE_RATE = 22050  # Hz
SECONDS = 3.0
N_FFT = 512
HOP = 353  # 3 s at 22.05 kHz become 188 frames of 257 bins
EXTENSIONS = (".wav", ".flac", ".ogg", ".mp3")


def read(path: Path, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """A sound file as mono float32 [n] at ``sample_rate``.

    Raises:
        UserError: the file cannot be decoded or holds no samples.
    """
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read as sound ({error}); repair or remove it") from None
    if len(samples) == 0:
        raise UserError(f"{path} holds no sound; repair or remove it")
    wave = torch.from_numpy(np.ascontiguousarray(samples.mean(1)))
    if not torch.isfinite(wave).all():
        raise UserError(f"{path} holds samples that are not finite numbers; repair or remove it")
    return torchaudio.functional.resample(wave, rate, sample_rate) if rate != sample_rate else wave


def fit(wave: Tensor, length: int) -> Tensor:
    """[n] to [length]: repeated end to end if too short, its beginning if too long; clamped to ±1."""
    repeats = -(-length // len(wave))
    return wave.repeat(repeats)[:length].clamp(-1, 1)


class LogSpectrogram(nn.Module):
    """[B, n] waveforms to [B, 1, 257, n // 353 + 1]: log(|STFT| + 1e-7), Hann window of 512 samples, hop 353."""

    def __init__(self) -> None:
        super().__init__()
        self.magnitude = torchaudio.transforms.Spectrogram(n_fft=N_FFT, hop_length=HOP, power=1.0)

    def forward(self, wave: Tensor) -> Tensor:
        return (self.magnitude(wave) + 1e-7).log()[:, None]
