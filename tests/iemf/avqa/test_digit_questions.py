"""Scenes of digits and their questions: answers by hand, and how far the question or one modality alone gets."""

import json
from collections import Counter, defaultdict

import numpy as np
import pytest

from iemf.avqa import digit_questions
from iemf.avqa.digit_questions import TEMPLATES, WORDS, ask
from iemf.avqa.digit_scenes import LONGEST, PLACES, STEPS, Scene, draw_scene
from iemf.avqa.questions import TYPES, read_questions

SCENES = 4000


@pytest.fixture(scope="module")
def scenes():
    rng = np.random.default_rng(1)
    return {f"v{number}": draw_scene(rng) for number in range(SCENES)}


@pytest.fixture(scope="module")
def items(scenes):
    return list(ask(list(scenes.items()), np.random.default_rng(2)))


def test_scenes_are_what_they_say(scenes):
    common = Counter()
    for scene in scenes.values():
        assert (len(scene.seen), len(scene.spoken)) == (len(PLACES), STEPS)
        seen = [digit for digit in scene.seen if digit is not None]
        assert len(set(seen)) == len(seen)
        assert sum(digit is not None for digit in scene.spoken) <= LONGEST
        shared = set(seen) & set(scene.times)
        assert len(seen) - len(shared) in (0, 1)
        assert len(scene.times) - len(shared) in (0, 1)
        common[len(shared)] += 1
    assert set(common) == {1, 2, 3}
    assert all(abs(count / SCENES - 1 / 3) < 0.03 for count in common.values())


# 3 and 7 are seen, 7 and 1 are spoken: 7 first and last, three times.
SCENE = Scene((3, None, None, 7), (None, 7, 1, None, 7, None, 1, 7, None, None))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("How many different digits are spoken?", {((), "two")}),
        ("How many times is <Digit> spoken?", {((WORDS[d],), WORDS[n]) for d, n in
                                               zip(range(10), (0, 2, 0, 0, 0, 0, 0, 3, 0, 0), strict=True)}),
        ("Is <Digit> spoken more often than <Digit>?", {(("seven", "one"), "yes"), (("one", "seven"), "no")}),
        ("How many digits are seen?", {((), "two")}),
        ("Where is the <Digit>?", {(("three",), "top_left"), (("seven",), "bottom_right")}),
        ("What is the <Place> digit?", {(("top_left",), "three"), (("bottom_right",), "seven")}),
        ("Is <Digit> both seen and spoken?", {(("seven",), "yes"), (("three",), "no"), (("one",), "no")}),
        ("Is the <Place> digit spoken?", {(("bottom_right",), "yes"), (("top_left",), "no")}),
        ("Where is the <Digit> if it is spoken?", {(("seven",), "bottom_right"), (("three",), "nowhere")}),
        ("Where is the digit that is both seen and spoken?", {((), "bottom_right")}),
        ("How many digits are seen and spoken in all?", {((), "four")}),
        ("How many of the digits that are seen are spoken?", {((), "one")}),
        ("Are as many digits seen as spoken?", {((), "yes")}),
        ("Is the <Place> digit spoken more often than the <Place> digit?",
         {(("bottom_right", "top_left"), "yes"), (("top_left", "bottom_right"), "no")}),
        ("Is <Digit> seen and spoken <FL>?", {(("seven", "first"), "yes"), (("seven", "last"), "yes")}),
        ("Where is the digit that is spoken <FL>?", {(("first",), "bottom_right"), (("last",), "bottom_right")}),
    ],
)  # fmt: skip
def test_every_template_by_hand(text, right):
    rng = np.random.default_rng(0)
    asked = {TEMPLATES[text][1](SCENE, rng) for _ in range(300)} - {None}
    assert asked == right


def test_no_template_is_left_untested():
    cases = test_every_template_by_hand.pytestmark[0].args[1]
    assert {text for text, _ in cases} == set(TEMPLATES)


def test_all_nine_types_in_the_official_form(items, tmp_path):
    path = tmp_path / "q.json"
    path.write_text(json.dumps(items))
    questions = read_questions(path)
    assert {question.kind for question in questions} == set(TYPES)
    assert len({question.id for question in questions}) == len(questions)
    assert min(Counter(question.kind for question in questions).values()) > 0.4 * SCENES


def best(items, known):
    """{template: accuracy} of always giving the answer that is most frequent among questions that look the same."""
    seen = defaultdict(Counter)
    for item in items:
        seen[item["question_content"], known(item)][item["anser"]] += 1
    right, asked = Counter(), Counter()
    for (text, _), answers in seen.items():
        right[text] += max(answers.values())
        asked[text] += sum(answers.values())
    return {text: right[text] / asked[text] for text in right}


MARGIN = 0.04  # of chance, with so many scenes
HALF, SIX_TENTHS = 0.5, 0.6
# What the question, eyes and ears alone can reach; see digit_questions.
BOUNDS = {
    "Is <Digit> both seen and spoken?": (SIX_TENTHS, 0.62, 0.62),
    "Is the <Place> digit spoken?": (HALF, HALF, HALF),
    "Where is the <Digit> if it is spoken?": (HALF, HALF, HALF),
    "Where is the digit that is both seen and spoken?": (1 / 4, HALF, 1 / 4),
    "How many digits are seen and spoken in all?": (0.2, HALF, HALF),
    "How many of the digits that are seen are spoken?": (1 / 3, 2 / 3, 2 / 3),
    "Are as many digits seen as spoken?": (HALF, HALF, HALF),
    "Is the <Place> digit spoken more often than the <Place> digit?": (HALF, HALF, HALF),
    "Is <Digit> seen and spoken <FL>?": (SIX_TENTHS, SIX_TENTHS, 0.68),
    "Where is the digit that is spoken <FL>?": (1 / 4, 0.4, 1 / 4),
}


def test_neither_the_question_nor_one_modality_alone_answers_audio_visual_questions(scenes, items):
    """Which digit is where, or is heard when, is drawn evenly; what is left is how many there are, and where."""

    def places(item):
        return tuple(digit is None for digit in scenes[item["video_id"]].seen)

    def heard(item):
        return len(scenes[item["video_id"]].times)

    audio_visual = [item for item in items if json.loads(item["type"])[0] == "Audio-Visual"]
    observers = [best(audio_visual, known) for known in (lambda item: item["templ_values"], places, heard)]
    assert set(observers[0]) == set(BOUNDS)
    for text, bounds in BOUNDS.items():
        for found, bound in zip(observers, bounds, strict=True):
            assert found[text] < bound + MARGIN, (text, found[text], bound)


@pytest.mark.parametrize("text", [t for t, ((m, _), _) in TEMPLATES.items() if m == "Audio-Visual" and "<Digit>" in t])
def test_the_named_digit_alone_does_not_answer(scenes, items, text):
    """Whether eyes see it, or ears hear it, leaves the answer open."""
    chosen = [item for item in items if item["question_content"] == text]

    def named(item):
        return WORDS.index(json.loads(item["templ_values"])[0])

    seen = best(chosen, lambda item: named(item) in scenes[item["video_id"]].places)[text]
    heard = best(chosen, lambda item: named(item) in scenes[item["video_id"]].times)[text]
    assert max(seen, heard) < 0.8


def test_the_same_seed_asks_the_same(scenes):
    few = list(scenes.items())[:20]
    assert list(ask(few, np.random.default_rng(3))) == list(ask(few, np.random.default_rng(3)))
    assert digit_questions.WORDS[7] == "seven"
