"""Sound: reading files, bringing them to one rate and length, and the log-spectrogram the encoders see."""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn

from iemf.data import video
from iemf.errors import UserError

SAMPLE_RATE = 22050  # Hz
SECONDS = 3.0
N_FFT = 512
HOP = 353  # 3 s at 22.05 kHz become 188 frames of 257 bins
MEL_BANDS = 80  # with more, the lowest would fall between two bins
INT16 = 32767
RESAMPLING_MARGIN = 0.1  # seconds: more than the resampling filter reaches
WHOLE = 0.95  # of the samples that a file promises; MP3 headers promise a few too many
RATES = (1000, 1_000_000)  # samples a second; speech codecs begin at 8000, studios end at 768000
FRAMES_A_BLOCK = 1 << 18
LONGEST_PAGE = 65307  # bytes of an Ogg page
LIBSNDFILE = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".w64")
FFMPEG = (".m4a", ".m4b", ".aac", ".wma", ".ac3", ".amr", ".ape", ".caf", ".mka", ".mp2", ".weba", ".wv")
EXTENSIONS = (*LIBSNDFILE, *FFMPEG)


def read(path: Path, sample_rate: int = SAMPLE_RATE, seconds: float | None = None) -> Tensor:
    """The sound of a sound file or of a video as mono float32 [n] at ``sample_rate``.

    Resampled by soxr's HQ, linear in phase and flat up to 0.91 of the lower Nyquist frequency.

    Args:
        path: the file.
        sample_rate: Hz.
        seconds: read no more than this from the beginning; None: all.

    Raises:
        UserError: the file cannot be decoded, is shorter than it declares, or holds no samples.
    """
    margin = None if seconds is None else seconds + RESAMPLING_MARGIN
    if path.suffix.lower() in LIBSNDFILE:
        samples, rate = _read_sound_file(path, margin)
    else:
        samples, rate = video.sound(path, margin)
    wave = torch.from_numpy(np.ascontiguousarray(samples))
    _check_rate(path, rate)
    if not torch.isfinite(wave).all():
        raise UserError(f"{path} holds samples that are not finite numbers; repair or remove it")
    if rate != sample_rate:
        wave = torch.from_numpy(soxr.resample(wave.numpy(), rate, sample_rate, "HQ"))
    if len(wave) == 0:
        raise UserError(f"{path} holds no sound; repair or remove it")
    return wave if seconds is None else wave[: round(seconds * sample_rate)]


def check(path: Path) -> None:
    """Read the header alone.

    Raises:
        UserError: the file is no sound, or holds none.
    """
    if path.suffix.lower() not in LIBSNDFILE:
        return video.check_sound(path)
    try:
        frames = soundfile.info(path).frames
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read as sound ({error}); repair or remove it") from None
    if frames == 0:
        raise UserError(f"{path} holds no sound; repair or remove it")


def _read_sound_file(path: Path, seconds: float | None) -> tuple[np.ndarray, int]:
    """Mono float32 [n] and the rate."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            _check_rate(path, rate)
            count = file.frames if seconds is None else min(file.frames, round(seconds * rate))
            samples = _read_mono(file, count)
        missing = _missing_bytes(path)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read as sound ({error}); repair or remove it") from None
    if missing > 0:
        raise UserError(f"{path} is truncated: {missing} bytes are missing; repair or remove it")
    if len(samples) == 0:
        raise UserError(f"{path} holds no sound; repair or remove it")
    if len(samples) < WHOLE * count or not _has_last_page(path):
        raise UserError(f"{path} is truncated; repair or remove it")
    return samples, rate


def _check_rate(path: Path, rate: int) -> None:
    """Raise UserError for a rate that no sound has: a second at 1 Hz would become 22050 times its size."""
    if not RATES[0] <= rate <= RATES[1]:
        raise UserError(f"{path} declares {rate} samples a second; repair or remove it")


def _read_mono(file: soundfile.SoundFile, count: int) -> np.ndarray:
    """The first ``count`` samples, in blocks: memory is taken for what is there, not for what the header claims."""
    parts = []
    while count > 0:
        part = file.read(min(count, FRAMES_A_BLOCK), dtype="float32", always_2d=True).mean(1)
        parts.append(part)
        count = count - len(part) if len(part) else 0
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _missing_bytes(path: Path) -> int:
    """How much shorter a WAV file is than its header says; libsndfile reads what is there and says nothing."""
    with path.open("rb") as file:
        mark, declared = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
    if mark != b"RIFF" or declared in (0, 2**32 - 1):  # written to a pipe: the length was not known
        return 0
    return max(0, declared + 8 - path.stat().st_size - 1)  # the padding byte at the end is often left out


def _has_last_page(path: Path) -> bool:
    """Whether an Ogg file ends with the page that is marked as the last; True of any other file."""
    if path.suffix.lower() not in (".ogg", ".oga", ".opus"):
        return True
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_PAGE))
        end = file.read()
    start = end.rfind(b"OggS")
    return start >= 0 and len(end) > start + 5 and bool(end[start + 5] & 4)


def fit(wave: Tensor, length: int) -> Tensor:
    """[n] to [length]: repeated end to end if too short, its beginning if too long; floats clamped to ±1."""
    fitted = wave.repeat(-(-length // len(wave)))[:length]
    return fitted.clamp(-1, 1) if fitted.is_floating_point() else fitted


def to_int16(wave: Tensor) -> Tensor:
    """Samples clamped to ±1, as 16-bit integers."""
    return (wave.clamp(-1, 1) * INT16).round().to(torch.int16)


def to_float(wave: Tensor) -> Tensor:
    """16-bit integers as float32 in ±1; floats as they are."""
    return wave / INT16 if wave.dtype == torch.int16 else wave


@dataclass(frozen=True)
class SpectrogramForm:
    """What the audio encoder sees of a waveform.

    Args:
        kind: "log-stft", log(|STFT| + 1e-7) in 257 bins, what the code released with He et al. 2025 computes; or
            "log-mel", log(mel + 1e-7) of the magnitudes in 80 HTK mel bands, which the paper's text names.
        size: resize to size x size, bilinearly; None: leave as it is.
        zero_padded: the ends are padded with zeros, as in the released code, not reflected.
    """

    kind: str = "log-stft"
    size: int | None = None
    zero_padded: bool = False

    def shape(self, samples: int) -> tuple[int, int]:
        """(bins, frames) of a wave of so many samples."""
        if self.size is not None:
            return self.size, self.size
        return {"log-stft": N_FFT // 2 + 1, "log-mel": MEL_BANDS}[self.kind], samples // HOP + 1


class LogSpectrogram(nn.Module):
    """[B, n] waveforms to [B, 1, bins, n // 353 + 1]; Hann window of 512 samples, hop 353.

    Args:
        form: see :class:`SpectrogramForm`.
    """

    def __init__(self, form: SpectrogramForm = SpectrogramForm()) -> None:
        super().__init__()
        options = {"n_fft": N_FFT, "hop_length": HOP, "power": 1.0,
                   "pad_mode": "constant" if form.zero_padded else "reflect"}  # fmt: skip
        if form.kind == "log-mel":
            self.magnitude = torchaudio.transforms.MelSpectrogram(SAMPLE_RATE, n_mels=MEL_BANDS, **options)
        else:
            self.magnitude = torchaudio.transforms.Spectrogram(**options)
        self.size = form.size

    def forward(self, wave: Tensor) -> Tensor:
        spectrogram = (self.magnitude(wave) + 1e-7).log()[:, None]
        if self.size is None:
            return spectrogram
        return F.interpolate(spectrogram, (self.size, self.size), mode="bilinear", antialias=True)
