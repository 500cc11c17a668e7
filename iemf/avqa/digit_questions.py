"""Questions about scenes of digits, in the official form, answered by construction.

A fair coin, not the scene, decides the answer wherever it can: of a pair, which one is named first; of the digits seen,
whether a spoken one or another is asked about. Two templates whose answer is "yes" once in three drop half of the
"no". So question and one modality together leave every audio-visual yes-or-no question at one half.
"""

import json
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np

from iemf.avqa.digit_scenes import PLACES, Scene

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
YES, NO = "yes", "no"
ENDS = {"first": 0, "last": -1}


class Asked(NamedTuple):
    """Values for a template, and the answer."""

    values: tuple[str, ...]
    answer: str


Ask = Callable[[Scene, np.random.Generator], Asked | None]
TEMPLATES: dict[str, tuple[tuple[str, str], Ask]] = {}


def template(modality: str, kind: str, text: str) -> Callable[[Ask], Ask]:
    """Register what asks ``text``; it gives None where a scene does not suit."""

    def register(ask: Ask) -> Ask:
        TEMPLATES[text] = ((modality, kind), ask)
        return ask

    return register


def pick(rng: np.random.Generator, of: list) -> object:
    """One of a list that is not empty."""
    return of[int(rng.integers(len(of)))]


def coin(rng: np.random.Generator) -> bool:
    return bool(rng.integers(2))


def yes(answer: bool) -> str:
    return YES if answer else NO


def count(scene: Scene, digit: int) -> int:
    """How often it is spoken."""
    return scene.spoken.count(digit)


def in_order(rng: np.random.Generator, pairs: list[tuple[str, str]]) -> Asked | None:
    """One of the pairs for which the answer is yes, turned round for no."""
    if not pairs:
        return None
    first, second = pick(rng, pairs)
    return Asked((first, second), YES) if coin(rng) else Asked((second, first), NO)


def apart(scene: Scene, one: int, other: int) -> bool:
    """Whether ``one`` is spoken, and spoken for the last time before ``other`` is for the first."""
    times = scene.times
    return one in times and other in times and times[one][-1] < times[other][0]


@template("Audio", "Counting", "How many different digits are spoken?")
def spoken_digits(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(scene.times)])


@template("Audio", "Counting", "How many times is <Digit> spoken?")
def times_spoken(scene: Scene, rng: np.random.Generator) -> Asked:
    wanted = pick(rng, sorted({count(scene, digit) for digit in range(10)}))
    digit = pick(rng, [digit for digit in range(10) if count(scene, digit) == wanted])
    return Asked((WORDS[digit],), WORDS[wanted])


@template("Audio", "Comparative", "Is <Digit> spoken more often than <Digit>?")
def more_often(scene: Scene, rng: np.random.Generator) -> Asked | None:
    pairs = [(a, b) for a, b in permutations(scene.times, 2) if count(scene, a) > count(scene, b)]
    return in_order(rng, [(WORDS[a], WORDS[b]) for a, b in pairs])


@template("Audio", "Comparative", "Is <Digit> spoken before <Digit>?")
def spoken_before(scene: Scene, rng: np.random.Generator) -> Asked | None:
    return in_order(rng, [(WORDS[a], WORDS[b]) for a, b in permutations(scene.times, 2) if apart(scene, a, b)])


@template("Visual", "Counting", "How many digits are seen?")
def seen_digits(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(scene.places)])


@template("Visual", "Counting", "How many places are empty?")
def empty_places(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(PLACES) - len(scene.places)])


@template("Visual", "Location", "Where is the <Digit>?")
def where(scene: Scene, rng: np.random.Generator) -> Asked:
    digit = pick(rng, list(scene.places))
    return Asked((WORDS[digit],), PLACES[scene.places[digit]])


@template("Visual", "Location", "What is the <Place> digit?")
def what(scene: Scene, rng: np.random.Generator) -> Asked:
    digit = pick(rng, list(scene.places))
    return Asked((PLACES[scene.places[digit]],), WORDS[digit])


@template("Audio-Visual", "Existential", "Is the <Place> digit spoken?")
def is_spoken(scene: Scene, rng: np.random.Generator) -> Asked | None:
    spoken, silent = both(scene), [digit for digit in scene.places if digit not in scene.times]
    if not spoken or not silent:
        return None
    answer = coin(rng)
    return Asked((PLACES[scene.places[pick(rng, spoken if answer else silent)]],), yes(answer))


@template("Audio-Visual", "Existential", "Is every digit that is spoken also seen?")
def all_seen(scene: Scene, rng: np.random.Generator) -> Asked | None:
    if len(scene.times) != 2:  # of more digits, not all are ever seen
        return None
    return thinned(rng, len(both(scene)) == 2)


@template("Audio-Visual", "Location", "Where is the digit that is both seen and spoken?")
def where_both(scene: Scene, rng: np.random.Generator) -> Asked | None:
    digits = both(scene)
    return Asked((), PLACES[scene.places[digits[0]]]) if len(digits) == 1 else None


@template("Audio-Visual", "Location", "Where is the seen digit that is spoken most often?")
def where_most(scene: Scene, rng: np.random.Generator) -> Asked | None:
    ranked = sorted(both(scene), key=lambda digit: -count(scene, digit))
    if len(ranked) < 2 or count(scene, ranked[0]) == count(scene, ranked[1]):
        return None
    return Asked((), PLACES[scene.places[ranked[0]]])


@template("Audio-Visual", "Counting", "How many of the digits that are seen are spoken?")
def seen_and_spoken(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(both(scene))])


@template("Audio-Visual", "Counting", "How many digits are seen but not spoken?")
def only_seen(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(scene.places) - len(both(scene))])


@template("Audio-Visual", "Counting", "How many digits are spoken but not seen?")
def only_spoken(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(scene.times) - len(both(scene))])


@template("Audio-Visual", "Comparative", "Is the <Place> digit spoken more often than the <Place> digit?")
def place_more_often(scene: Scene, rng: np.random.Generator) -> Asked | None:
    pairs = [(a, b) for a, b in permutations(scene.places, 2) if count(scene, a) > count(scene, b)]
    return in_order(rng, [(PLACES[scene.places[a]], PLACES[scene.places[b]]) for a, b in pairs])


@template("Audio-Visual", "Comparative", "Are as many digits seen as spoken?")
def as_many(scene: Scene, rng: np.random.Generator) -> Asked | None:
    return thinned(rng, len(scene.places) == len(scene.times))


@template("Audio-Visual", "Temporal", "Where is the digit that is spoken <FL>?")
def where_first(scene: Scene, rng: np.random.Generator) -> Asked | None:
    word = pick(rng, list(ENDS))
    place = scene.places.get(at_end(scene, word))
    return None if place is None else Asked((word,), PLACES[place])


@template("Audio-Visual", "Temporal", "Is the <Place> digit spoken <FL>?")
def is_first(scene: Scene, rng: np.random.Generator) -> Asked | None:
    word = pick(rng, list(ENDS))
    digit = at_end(scene, word)
    if digit not in scene.places:
        return None
    answer = coin(rng)
    others = [other for other in scene.places if other != digit]
    # Another spoken one, if there is: that it is silent would be another question.
    others = [other for other in others if other in scene.times] or others
    return Asked((PLACES[scene.places[digit if answer else pick(rng, others)]], word), yes(answer))


@template("Audio-Visual", "Temporal", "Is the <Place> digit spoken before the <Place> digit?")
def place_before(scene: Scene, rng: np.random.Generator) -> Asked | None:
    pairs = [(a, b) for a, b in permutations(scene.places, 2) if apart(scene, a, b)]
    return in_order(rng, [(PLACES[scene.places[a]], PLACES[scene.places[b]]) for a, b in pairs])


def both(scene: Scene) -> list[int]:
    """Digits that are seen and spoken."""
    return [digit for digit in scene.places if digit in scene.times]


def at_end(scene: Scene, word: str) -> int:
    """The digit that is spoken first, or last."""
    return [digit for digit in scene.spoken if digit is not None][ENDS[word]]


def thinned(rng: np.random.Generator, answer: bool) -> Asked | None:
    """Half of the no, which are twice as many."""
    return Asked((), yes(answer)) if answer or coin(rng) else None


def ask(scenes: list[tuple[str, Scene]], rng: np.random.Generator) -> Iterator[dict]:
    """Every template of every scene that suits it, as items of the official form.

    Args:
        scenes: (video id, scene).
    """
    number = 0
    for video, scene in scenes:
        for text, (kind, ask_one) in TEMPLATES.items():
            asked = ask_one(scene, rng)
            if asked is not None:
                yield {
                    "video_id": video, "question_id": number, "type": json.dumps(kind), "question_content": text,
                    "templ_values": json.dumps(asked.values), "question_deleted": 0, "anser": asked.answer,
                }  # fmt: skip
                number += 1
