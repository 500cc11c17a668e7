"""Questions in the form of MUSIC-AVQA (Li et al. 2022): templates with values, of nine types.

A file is a JSON list of items such as

    {"video_id": "00000093", "question_id": 12, "type": "[\"Audio\", \"Counting\"]",
     "question_content": "How many sounding <Object> in the video?", "templ_values": "[\"violin\"]", "anser": "two"}

in which type and templ_values are JSON inside a string, and the answer's key is spelled so.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from iemf.errors import UserError

TYPES = (
    ("Audio", "Counting"),
    ("Audio", "Comparative"),
    ("Visual", "Counting"),
    ("Visual", "Location"),
    ("Audio-Visual", "Existential"),
    ("Audio-Visual", "Location"),
    ("Audio-Visual", "Counting"),
    ("Audio-Visual", "Comparative"),
    ("Audio-Visual", "Temporal"),
)
LONGEST = 14  # words
TAG = re.compile(r"<[^<>\s]+>")


class Question(NamedTuple):
    """One question about one video, its template filled; ``kind`` is one of TYPES."""

    id: int
    video: str
    kind: tuple[str, str]
    words: tuple[str, ...]
    answer: str


def fill(template: str, values: list[str]) -> str:
    """A template whose tags, from left to right, have become their values.

    Raises:
        ValueError: there are more tags than values, or fewer.
    """
    tags = TAG.findall(template)
    if len(tags) > len(values):
        raise ValueError(f"{tags[len(values)]} has no value")
    if len(tags) < len(values):
        raise ValueError(f"the value {values[len(tags)]!r} has no place")
    remaining = iter(values)
    return TAG.sub(lambda _: next(remaining), template)


def split_words(text: str) -> tuple[str, ...]:
    """Words without the question mark, the full-width one neither."""
    return tuple(text.strip().rstrip("?？").split())


def read_questions(path: Path) -> list[Question]:
    """A question file.

    Raises:
        UserError: it is missing, not JSON, not of this form (the item is named), a template lacks a value or has one
            too many, a type is none of the nine, a question is too long, or two questions have one id.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; get the question files of MUSIC-AVQA (docs/features.md)") from None
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(f"{path} is no readable JSON ({error}); get it anew") from None
    if not isinstance(content, list) or not content:
        raise UserError(f"{path} must hold a list of questions, it is {type(content).__name__}; get it anew")
    questions = []
    seen: dict[int, Question] = {}
    for number, item in enumerate(content):
        try:
            question = _question(item)
        except (ValueError, TypeError, KeyError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}, item {number}{_called(item)}: {why}; mend it or get the file anew") from None
        # The official files have some questions twice, with the answers of two people.
        if seen.setdefault(question.id, question)[:-1] != question[:-1]:
            raise UserError(f"{path}, item {number}: question_id {question.id} is another question's too; mend it")
        questions.append(question)
    return questions


def _question(item: Mapping) -> Question:
    if not isinstance(item, Mapping):
        raise TypeError(f"it is {type(item).__name__}, not a question")
    kind = tuple(_inner(item, "type"))
    if kind not in TYPES:
        raise ValueError(f"type {item['type']} is none of the nine")
    values = _inner(item, "templ_values")
    if empty := [value for value in values if not isinstance(value, str) or not value.strip()]:
        raise ValueError(f"templ_values has {empty[0]!r}, which is no text")
    text = fill(_text(item, "question_content"), values)
    words = split_words(text)
    if not 1 <= len(words) <= LONGEST:
        raise ValueError(f"question_content has {len(words)} words, 1 to {LONGEST} can be read")
    number = item["question_id"]
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"question_id {number!r} is no whole number")
    return Question(number, _text(item, "video_id"), kind, words, _text(item, "anser"))


def _text(item: Mapping, key: str) -> str:
    value = item[key]
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{key} {value!r} is no text")
    return value


def _inner(item: Mapping, key: str) -> list:
    """The list in the string."""
    try:
        value = json.loads(item[key])
    except (ValueError, TypeError):
        raise ValueError(f"{key} {item[key]!r} is no JSON list in a string") from None
    if not isinstance(value, list):
        raise TypeError(f"{key} {item[key]!r} is no JSON list in a string")
    return value


def _called(item: object) -> str:
    """The item's id, if it has one."""
    return f" (question_id {item['question_id']})" if isinstance(item, Mapping) and "question_id" in item else ""
