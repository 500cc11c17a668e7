"""Scenes of av-digits-qa as symbols: which digits are seen at the four places, and which are spoken in ten steps.

How many digits are seen (2 to 4), how many different ones are spoken (2 to 4) and how many are both (0 to 2) are drawn
independently of each other, so that neither of the first two tells the third.
"""

from typing import NamedTuple

import numpy as np

PLACES = ("top_left", "top_right", "bottom_left", "bottom_right")
STEPS = 10
NUMBERS = (2, 3, 4)
COMMON = (0, 1, 2)
MOST_TIMES = 3  # that a digit is spoken
LONGEST = 8  # steps with speech; the others are silent


class Scene(NamedTuple):
    """A digit, or None for nothing, at each place (as PLACES) and at each step; no digit is seen twice."""

    seen: tuple[int | None, ...]
    spoken: tuple[int | None, ...]

    @property
    def places(self) -> dict[int, int]:
        """{digit: its place}."""
        return {digit: place for place, digit in enumerate(self.seen) if digit is not None}

    @property
    def times(self) -> dict[int, list[int]]:
        """{digit: the steps at which it is spoken}, in the order of their first."""
        found: dict[int, list[int]] = {}
        for step, digit in enumerate(self.spoken):
            if digit is not None:
                found.setdefault(digit, []).append(step)
        return found


def draw_scene(rng: np.random.Generator) -> Scene:
    """A random scene."""
    seen_count, spoken_count, common = (int(rng.choice(of)) for of in (NUMBERS, NUMBERS, COMMON))
    digits = rng.permutation(10).tolist()
    seen: list[int | None] = [None] * len(PLACES)
    for place, digit in zip(rng.permutation(len(PLACES))[:seen_count].tolist(), digits, strict=False):
        seen[place] = digit
    heard = digits[:common] + digits[seen_count : seen_count + spoken_count - common]
    counts = rng.integers(1, MOST_TIMES + 1, len(heard))
    while counts.sum() > LONGEST:
        counts = rng.integers(1, MOST_TIMES + 1, len(heard))
    utterances = rng.permutation(np.repeat(heard, counts)).tolist()
    spoken: list[int | None] = [None] * STEPS
    for step, digit in zip(sorted(rng.permutation(STEPS)[: len(utterances)].tolist()), utterances, strict=True):
        spoken[step] = digit
    return Scene(tuple(seen), tuple(spoken))
