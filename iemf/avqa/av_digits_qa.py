"""av-digits-qa: scenes of real digit images in a grid of 2 x 2, with real spoken digits played in ten steps.

The images and recordings are those of AV-Digits, each split with its own. At every step every place shows its digit,
or nothing, under fresh noise, and a digit or nothing is heard under noise; a scene draws one signal-to-noise ratio
for its sound and one for its pictures. Frozen encoders, trained on AV-Digits' training split alone, make features:

    audio   [10, F + 10]          the encoder's F numbers, and the step as one-hot
    visual  [10, 5 F + 10, 2, 2]  the encoder's numbers; once more in the p-th of four blocks for place p, the others
                                  being zeros; and the step

The blocks say what is where, as the map of a deep network does less plainly: the mean over places keeps it. A scene is
a video of ten seconds. A picture that is shown beside the sound of another step bears that step: a wrong time must not
be what gives it away.
"""

import hashlib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iemf.avqa import digit_questions, vocabulary
from iemf.avqa.data import ArrayFeatures, AVQAData, AVQASplit
from iemf.avqa.digit_scenes import PLACES, STEPS, Scene, draw_scene
from iemf.avqa.questions import read_questions
from iemf.data.noise import Noise, add_noise, draw_snr, standardise
from iemf.data.sets import av_digits
from iemf.errors import UserError
from iemf.files import whole_file, write_json
from iemf.seeds import Stream, mix_seed

SCENES = {"train": 6000, "val": 400, "test": 600}
NOISE = Noise((-5.0, 10.0), (-5.0, 10.0))  # dB; AV-Digits' encoders see the same
NOTHING = 10  # the class of noise alone, in training encoders
SEED = 0  # questions and samples are the same everywhere; encoders trained on another machine differ a little
Encoder = Callable[[Tensor], Tensor]  # [n, 1, 32, 32] -> [n, F]


def scenes(split: str, count: int) -> list[tuple[str, Scene]]:
    """(video id, scene) of a split."""
    rng = np.random.default_rng(_seed(split, 2))
    return [(f"{split}{number:05d}", draw_scene(rng)) for number in range(count)]


def choose(digits: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each digit the row of a random sample of it, or -1 for -1 (nothing).

    Args:
        digits: [n] int64.
        labels: [N], the digits of the samples, sorted into groups of any size.
    """
    rows = torch.full_like(digits, -1)
    for digit in range(10):
        candidates, wanted = (labels == digit).nonzero()[:, 0], digits == digit
        draws = torch.randint(len(candidates), (int(wanted.sum()),), generator=generator)
        rows[wanted] = candidates[draws]
    return rows


def noisy(clean: Tensor, rows: Tensor, snr: Tensor, generator: torch.Generator) -> Tensor:
    """Samples under noise, scaled to unit variance; row -1 is noise alone.

    Args:
        clean: [N, 1, 32, 32].
        rows, snr: [n]; snr in dB.
    """
    chosen = clean[rows.clamp(min=0)]
    seen = add_noise(chosen, snr, generator)
    seen[rows < 0] = torch.randn((int((rows < 0).sum()), *clean.shape[1:]), generator=generator)
    return standardise(seen)


class Cast(NamedTuple):
    """Which sample plays each digit of some scenes, rows or -1 [V, 10] and [V, 4]; ratios in dB [V]."""

    sounds: Tensor
    images: Tensor
    snr: Noise


def draw_cast(stage: Sequence[Scene], labels: Tensor, generator: torch.Generator) -> Cast:
    """Samples and ratios at random.

    Args:
        labels: digits of the samples.
    """
    parts = [torch.tensor([[-1 if digit is None else digit for digit in part] for part in of])
             for of in ([scene.spoken for scene in stage], [scene.seen for scene in stage])]  # fmt: skip
    rows = [choose(part, labels, generator) for part in parts]
    return Cast(*rows, Noise(*(draw_snr(len(stage), *of, generator) for of in NOISE)))


def views(images: Tensor, cast: Cast, times: int, generator: torch.Generator) -> Tensor:
    """What is seen of scenes: [V, times, 4, 1, 32, 32]; a digit keeps its image, the noise is new each time.

    Args:
        images: the clean samples.
    """
    rows = cast.images[:, None].expand(-1, times, -1).flatten()
    snr = cast.snr.visual.repeat_interleave(times * len(PLACES))
    return noisy(images, rows, snr, generator).unflatten(0, (-1, times, len(PLACES)))


@torch.inference_mode()
def encode(
    stage: Sequence[Scene],
    pairs: av_digits.NoisyPairs,
    encoders: tuple[Encoder, Encoder],
    generator: torch.Generator,
    progress: Callable[[int], None] = lambda count: None,
    at_once: int = 50,
) -> tuple[np.ndarray, np.ndarray]:
    """The features of scenes, float16: audio [V, 10, F + 10], visual [V, 10, 5 F + 10, 2, 2].

    Args:
        pairs: whose clean samples the scenes are made of.
        encoders: of sound and of images.
        generator: of samples and noise.
        progress: told of every ``at_once`` scenes.
    """
    cast = draw_cast(stage, pairs.labels, generator)
    clock = torch.eye(STEPS)
    sounds, pictures = [], []
    for part in torch.arange(len(stage)).split(at_once):
        some = Cast(cast.sounds[part], cast.images[part], Noise(*(ratios[part] for ratios in cast.snr)))
        sound = noisy(pairs.clean["audio"], some.sounds.flatten(), some.snr.audio.repeat_interleave(STEPS), generator)
        seen = views(pairs.clean["visual"], some, STEPS, generator)
        a = encoders[0](sound).unflatten(0, (-1, STEPS))
        v = encoders[1](seen.flatten(0, 2)).unflatten(0, seen.shape[:3])
        steps = clock.expand(len(part), -1, -1)
        sounds.append(torch.cat([a, steps], dim=2).half())
        pictures.append(as_maps(v, steps).half())
        progress(len(part))
    return torch.cat(sounds).numpy(), torch.cat(pictures).numpy()


def as_maps(v: Tensor, steps: Tensor) -> Tensor:
    """v [B, T, P, F] and steps [B, T, T] -> [B, T, F + P·F + T, 2, 2]; see the module."""
    count, size = v.shape[2:]
    blocks = v.new_zeros((*v.shape[:2], count, count, size))
    for place in range(count):
        blocks[:, :, place, place] = v[:, :, place]
    maps = torch.cat([v, blocks.flatten(3), steps[:, :, None].expand(-1, -1, count, -1)], dim=3)
    return maps.transpose(2, 3).unflatten(3, (2, 2))


def picture(split: str, counts: dict[str, int], number: int) -> np.ndarray:
    """What one scene of a split shows at a step, [64, 64], with noise of its ratio."""
    pairs = getattr(av_digits.load(noise=NOISE), split)
    cast = draw_cast([scene for _, scene in scenes(split, counts[split])], pairs.labels, _generator(split))
    one = Cast(cast.sounds[[number]], cast.images[[number]], Noise(*(ratios[[number]] for ratios in cast.snr)))
    places = views(pairs.clean["visual"], one, 1, torch.Generator().manual_seed(number))[0, 0, :, 0]
    return torch.cat([torch.cat([*places[:2]], dim=1), torch.cat([*places[2:]], dim=1)]).numpy()


def _seed(split: str, what: int) -> int:
    return mix_seed(Stream.FIXED_NOISE, SEED, list(SCENES).index(split), what)


def _generator(split: str) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(split, 3))


def make(
    folder: Path, encoders: tuple[Encoder, Encoder], counts: dict[str, int], progress: Callable[[int], None]
) -> None:
    """Write questions and features of every split into a folder: json/avqa-SPLIT.json and SPLIT.npz."""
    data = av_digits.load(noise=NOISE)
    (folder / "json").mkdir(parents=True, exist_ok=True)
    for split, count in counts.items():
        named = scenes(split, count)
        audio, visual = encode(
            [scene for _, scene in named], getattr(data, split), encoders, _generator(split), progress
        )
        with whole_file(folder / f"{split}.npz", "wb") as file:
            np.savez(file, audio=audio, visual=visual)
        rng = np.random.default_rng(_seed(split, 4))
        write_json(folder / "json" / f"avqa-{split}.json", list(digit_questions.ask(named, rng)))


class SteppedFeatures(ArrayFeatures):
    """Features whose last channels say at which step they are seen."""

    def pictures(self, videos: np.ndarray, seconds: np.ndarray, shown_at: np.ndarray) -> np.ndarray:
        found = super().pictures(videos, seconds, shown_at)
        found[:, -STEPS:] = self.visual[videos, shown_at, -STEPS:]
        return found


def load(folder: Path) -> AVQAData:
    """What :func:`make` wrote.

    Raises:
        UserError: a file is missing or damaged.
    """
    paths = {split: folder / "json" / f"avqa-{split}.json" for split in SCENES}
    if gone := [path for path in paths.values() if not path.is_file()]:
        raise UserError(f"{gone[0]} is missing; remove {folder}, it is made anew")
    questions = {split: read_questions(path) for split, path in paths.items()}
    words = vocabulary.build(questions["train"])
    splits, mark = {}, hashlib.sha256()
    for split, asked in questions.items():
        try:
            with np.load(folder / f"{split}.npz") as file:
                audio, visual = file["audio"], file["visual"]
            if len(audio) < len({question.video for question in asked}):
                raise ValueError(f"{len(audio)} scenes")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{folder / split}.npz cannot be read ({error}); remove {folder}, it is made anew"
            ) from None
        number_of = {f"{split}{number:05d}": number for number in range(len(audio))}
        splits[split] = AVQASplit(asked, words, SteppedFeatures(audio, visual), number_of)
        for part in (audio, visual, repr(asked).encode()):
            mark.update(part)
    return AVQAData("av-digits-qa", words, **splits, about={"digest": mark.hexdigest()[:16]})
