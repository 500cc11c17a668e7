"""Questions about scenes of digits, in the official form, answered by construction.

Of the two templates of each audio-visual type, the first can be answered by judging sound and picture apart and
putting the two judgements together; the second asks to match what is seen with what is heard. A coin or a die, not the
scene, decides the answer wherever it can: of a pair, which is named first; of the digits, whether one that is seen and
spoken is asked about. How far the question or one modality alone gets nevertheless is bounded by
tests/iemf/avqa/test_digit_questions.py: how many digits are seen, say, leaves two or three sums.
"""

import json
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import NamedTuple

import numpy as np

from iemf.avqa.digit_scenes import PLACES, Scene

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
YES, NO = "yes", "no"
NOWHERE = "nowhere"
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


@template("Visual", "Counting", "How many digits are seen?")
def seen_digits(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(scene.places)])


@template("Visual", "Location", "Where is the <Digit>?")
def where(scene: Scene, rng: np.random.Generator) -> Asked:
    digit = pick(rng, list(scene.places))
    return Asked((WORDS[digit],), PLACES[scene.places[digit]])


@template("Visual", "Location", "What is the <Place> digit?")
def what(scene: Scene, rng: np.random.Generator) -> Asked:
    digit = pick(rng, list(scene.places))
    return Asked((PLACES[scene.places[digit]],), WORDS[digit])


@template("Audio-Visual", "Existential", "Is <Digit> both seen and spoken?")
def is_both(scene: Scene, rng: np.random.Generator) -> Asked | None:
    return one_of_three(rng, (0.25, 0.375, 0.375), both(scene), only_seen(scene), only_spoken(scene))


@template("Audio-Visual", "Existential", "Is the <Place> digit spoken?")
def is_spoken(scene: Scene, rng: np.random.Generator) -> Asked | None:
    spoken, silent = both(scene), only_seen(scene)
    if not spoken or not silent:
        return None
    answer = coin(rng)
    return Asked((PLACES[scene.places[pick(rng, spoken if answer else silent)]],), yes(answer))


@template("Audio-Visual", "Location", "Where is the <Digit> if it is spoken?")
def where_if_spoken(scene: Scene, rng: np.random.Generator) -> Asked | None:
    spoken, silent = both(scene), only_seen(scene)
    if not spoken or not silent:
        return None
    answer = coin(rng)
    digit = pick(rng, spoken if answer else silent)
    return Asked((WORDS[digit],), PLACES[scene.places[digit]] if answer else NOWHERE)


@template("Audio-Visual", "Location", "Where is the digit that is both seen and spoken?")
def where_both(scene: Scene, rng: np.random.Generator) -> Asked | None:
    digits = both(scene)
    # Where nothing else is seen, eyes alone would do.
    return Asked((), PLACES[scene.places[digits[0]]]) if len(digits) == 1 and only_seen(scene) else None


@template("Audio-Visual", "Counting", "How many digits are seen and spoken in all?")
def in_all(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(scene.places) + len(scene.times)])


@template("Audio-Visual", "Counting", "How many of the digits that are seen are spoken?")
def seen_and_spoken(scene: Scene, rng: np.random.Generator) -> Asked:
    return Asked((), WORDS[len(both(scene))])


@template("Audio-Visual", "Comparative", "Are as many digits seen as spoken?")
def as_many(scene: Scene, rng: np.random.Generator) -> Asked | None:
    return Asked((), yes(len(scene.places) == len(scene.times)))


@template("Audio-Visual", "Comparative", "Is the <Place> digit spoken more often than the <Place> digit?")
def place_more_often(scene: Scene, rng: np.random.Generator) -> Asked | None:
    pairs = [(a, b) for a, b in permutations(scene.places, 2) if count(scene, a) > count(scene, b)]
    return in_order(rng, [(PLACES[scene.places[a]], PLACES[scene.places[b]]) for a, b in pairs])


@template("Audio-Visual", "Temporal", "Is <Digit> seen and spoken <FL>?")
def seen_and_first(scene: Scene, rng: np.random.Generator) -> Asked | None:
    word = pick(rng, list(ENDS))
    digit = at_end(scene, word)
    seen = digit in scene.places
    later = [other for other in both(scene) if other != digit]
    asked = one_of_three(rng, (0.25, 0.3, 0.45), [digit] if seen else [], later, [] if seen else [digit])
    return asked and Asked((*asked.values, word), asked.answer)


@template("Audio-Visual", "Temporal", "Where is the digit that is spoken <FL>?")
def where_first(scene: Scene, rng: np.random.Generator) -> Asked | None:
    word = pick(rng, list(ENDS))
    place = scene.places.get(at_end(scene, word))
    return None if place is None or len(scene.places) == 1 else Asked((word,), PLACES[place])


def both(scene: Scene) -> list[int]:
    """Digits that are seen and spoken."""
    return [digit for digit in scene.places if digit in scene.times]


def at_end(scene: Scene, word: str) -> int:
    """The digit that is spoken first, or last."""
    return [digit for digit in scene.spoken if digit is not None][ENDS[word]]


def only_seen(scene: Scene) -> list[int]:
    """Digits that are seen and not spoken."""
    return [digit for digit in scene.places if digit not in scene.times]


def only_spoken(scene: Scene) -> list[int]:
    """Digits that are spoken and not seen."""
    return [digit for digit in scene.times if digit not in scene.places]


def one_of_three(rng: np.random.Generator, chances: tuple[float, ...], *lists: list[int]) -> Asked | None:
    """A digit of the first list (yes) or of the others (no); None if the list that the die falls on is empty.

    The chances allow for how often each list is empty: over many scenes, four in ten answers are yes.
    """
    which = int(rng.choice(len(lists), p=chances))
    digits = lists[which]
    return Asked((WORDS[pick(rng, digits)],), yes(which == 0)) if digits else None


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
