"""Scenes of av-digits-qa as symbols: which digits are seen at the four places, and which are spoken in ten steps.

One to three digits are both seen and spoken; a coin each decides whether another one is only seen, and whether another
one is only spoken.
"""

from typing import NamedTuple

import numpy as np

PLACES = ("top_left", "top_right", "bottom_left", "bottom_right")
STEPS = 10
COMMON = (1, 2, 3)
MOST_TIMES = 4  # that a digit is spoken
LONGEST = 9  # steps with speech; the others are silent


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
    common, only_seen, only_spoken = int(rng.choice(COMMON)), int(rng.integers(2)), int(rng.integers(2))
    digits = rng.permutation(10)[: common + only_seen + only_spoken].tolist()
    seen: list[int | None] = [None] * len(PLACES)
    for place, digit in zip(rng.permutation(len(PLACES)).tolist(), digits[: common + only_seen], strict=False):
        seen[place] = digit
    heard = digits[:common] + digits[common + only_seen :]
    counts = rng.integers(1, MOST_TIMES + 1, len(heard))
    while counts.sum() > LONGEST:
        counts = rng.integers(1, MOST_TIMES + 1, len(heard))
    utterances = rng.permutation(np.repeat(heard, counts)).tolist()
    spoken: list[int | None] = [None] * STEPS
    for step, digit in zip(sorted(rng.permutation(STEPS)[: len(utterances)].tolist()), utterances, strict=True):
        spoken[step] = digit
    return Scene(tuple(seen), tuple(spoken))
