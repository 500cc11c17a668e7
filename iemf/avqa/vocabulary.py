"""Words and answers as numbers, both known from the train split alone."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from iemf.avqa.questions import LONGEST, Question

PAD = 0  # behind the last word, and read by the LSTM, as Li et al. 2022 do; and in place of words that train never had
UNKNOWN = -1  # an answer that train never had: no class, so always wrong


class Vocabulary(NamedTuple):
    """``words`` begin with the padding; both are sorted, so that file order does not matter."""

    words: tuple[str, ...]
    answers: tuple[str, ...]


class Encoded(NamedTuple):
    """Words [N, 14] and answers [N], int64."""

    words: np.ndarray
    answers: np.ndarray


def build(train: Sequence[Question]) -> Vocabulary:
    """Every word and every answer of the train split."""
    words = sorted({word for question in train for word in question.words})
    return Vocabulary(("<pad>", *words), tuple(sorted({question.answer for question in train})))


def encode(questions: Sequence[Question], vocabulary: Vocabulary) -> Encoded:
    """All questions as numbers; done once, so that no epoch handles text."""
    number_of = {word: number for number, word in enumerate(vocabulary.words)}
    answer_of = {answer: number for number, answer in enumerate(vocabulary.answers)}
    words = np.full((len(questions), LONGEST), PAD, np.int64)
    for row, question in enumerate(questions):
        words[row, : len(question.words)] = [number_of.get(word, PAD) for word in question.words]
    return Encoded(words, np.array([answer_of.get(question.answer, UNKNOWN) for question in questions], np.int64))
