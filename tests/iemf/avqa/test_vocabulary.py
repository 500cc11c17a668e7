"""Words and answers as numbers: from train alone, padded behind."""

import numpy as np

from iemf.avqa import vocabulary
from iemf.avqa.questions import Question

KIND = ("Audio", "Counting")


def question(number, text, answer):
    return Question(number, "v", KIND, tuple(text.split()), answer)


TRAIN = [question(0, "How many are there", "two"), question(1, "Is it there", "no")]


def test_words_and_answers_are_sorted_whatever_the_order():
    assert vocabulary.build(TRAIN) == vocabulary.build(TRAIN[::-1])
    assert vocabulary.build(TRAIN).words == ("<pad>", "How", "Is", "are", "it", "many", "there")
    assert vocabulary.build(TRAIN).answers == ("no", "two")


def test_numbers_by_hand():
    words = vocabulary.build(TRAIN)
    encoded = vocabulary.encode([TRAIN[1], question(2, "Is unheard there", "seven")], words)
    assert encoded.words.shape == (2, 14)
    assert encoded.words[0].tolist() == [2, 4, 6] + [0] * 11
    assert encoded.words[1].tolist() == [2, 0, 6] + [0] * 11
    assert encoded.answers.tolist() == [0, -1]
    assert encoded.words.dtype == np.int64
