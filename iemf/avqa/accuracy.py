"""Accuracy by question type, the columns of Table S5 (He et al. 2025): averages are over questions, not over types."""

from collections.abc import Mapping, Sequence

import numpy as np

from iemf.avqa.questions import TYPES, Question

LETTERS = {"Audio": "a", "Visual": "v", "Audio-Visual": "av"}
OVERALL = "overall"


def column(kind: tuple[str, str]) -> str:
    """("Audio-Visual", "Counting") -> "av_counting"."""
    return f"{LETTERS[kind[0]]}_{kind[1].lower()}"


def _columns() -> dict[str, tuple[tuple[str, str], ...]]:
    """{column: the types in it}, left to right: each modality's types, then its average; all at the end."""
    columns = {}
    for modality, letters in LETTERS.items():
        kinds = tuple(kind for kind in TYPES if kind[0] == modality)
        columns |= {column(kind): (kind,) for kind in kinds}
        columns[f"{letters}_avg"] = kinds
    return columns | {OVERALL: TYPES}


COLUMNS = _columns()


def by_type(kinds: Sequence[tuple[str, str]], correct: Sequence[bool] | np.ndarray) -> dict[str, float]:
    """Percent of right answers in each column that has a question.

    Args:
        kinds: [N], the types of the questions.
        correct: [N].

    Raises:
        ValueError: lengths differ, or there is no question.
    """
    if len(kinds) != len(correct) or not len(kinds):
        raise ValueError(f"need as many answers as questions and at least one, got {len(correct)} and {len(kinds)}")
    number_of = {kind: number for number, kind in enumerate(TYPES)}
    numbers = np.array([number_of[tuple(kind)] for kind in kinds])
    asked = np.bincount(numbers, minlength=len(TYPES))
    right = np.bincount(numbers, weights=np.asarray(correct, float), minlength=len(TYPES))
    return {
        name: 100 * float(right[members].sum() / count)
        for name, of in COLUMNS.items()
        if (count := asked[members := [number_of[kind] for kind in of]].sum())
    }


def join(questions: Sequence[Question], predictions: Mapping[int, str]) -> list[bool]:
    """Whether each question is answered rightly, by question id: the order of predictions does not matter.

    Raises:
        ValueError: a question has no prediction.
    """
    missing = [question.id for question in questions if question.id not in predictions]
    if missing:
        raise ValueError(f"{len(missing)} questions have no prediction, the first is question_id {missing[0]}")
    return [predictions[question.id] == question.answer for question in questions]
