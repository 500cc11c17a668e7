"""Question files: the official form, the official files where they are, and what can be wrong with an item."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iemf.avqa import vocabulary
from iemf.avqa.accuracy import column
from iemf.avqa.questions import LONGEST, TAG, TYPES, Question, fill, read_questions, split_words
from iemf.errors import UserError
from tests.conftest import OFFICIAL

QUESTIONS = OFFICIAL / "music_avqa"
TEST_COUNTS = [1022, 601, 1199, 1228, 995, 927, 1274, 1115, 824]  # in the order of TYPES


def item(**changes):
    return {
        "video_id": "00000093", "question_id": 12, "type": '["Audio", "Counting"]', "question_deleted": 0,
        "question_content": "How many sounding <Object> in the video？", "templ_values": '["violin"]', "anser": "two",
    } | changes  # fmt: skip


def write(path: Path, content) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_an_official_item(tmp_path):
    (question,) = read_questions(write(tmp_path / "q.json", [item()]))
    words = ("How", "many", "sounding", "violin", "in", "the", "video")
    assert question == Question(12, "00000093", ("Audio", "Counting"), words, "two")


def test_values_go_to_their_tags_from_left_to_right():
    template = "Is the <Object> on the <LR> louder than the <Object> on the <LR>?"
    filled = fill(template, ["cello", "left", "<flute>", "right"])
    assert filled == "Is the cello on the left louder than the <flute> on the right?"
    assert split_words(" Are there <Object> sound? ") == ("Are", "there", "<Object>", "sound")


@given(st.lists(st.text("abc ?", max_size=5), max_size=4), st.lists(st.text("xyz", min_size=1), max_size=6))
def test_as_many_tags_as_values_or_a_complaint(pieces, values):
    template = "<T>".join(pieces)
    tags = max(0, len(pieces) - 1)
    assert len(TAG.findall(template)) == tags
    if tags == len(values):
        rest = fill(template, values)
        assert "<T>" not in rest
        assert len(rest) == len(template) - 3 * tags + sum(map(len, values))
    else:
        with pytest.raises(ValueError, match="has no value" if tags > len(values) else "has no place"):
            fill(template, values)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[{", "is no readable JSON"),
        ({"a": 1}, "must hold a list of questions, it is dict"),
        ([], "must hold a list of questions"),
        ([item(), "text"], r"item 1: it is str, not a question"),
        ([item(templ_values="[]")], r"item 0 \(question_id 12\): <Object> has no value"),
        ([item(templ_values='["a", "b"]')], r"the value 'b' has no place"),
        ([item(templ_values="[null]")], "templ_values has None, which is no text"),
        ([item(templ_values='[" "]')], "templ_values has ' ', which is no text"),
        ("[" * 100000, "is no readable JSON"),
        ([item(templ_values=["violin"])], r"templ_values \['violin'\] is no JSON list in a string"),
        ([item(type='["Audio", "Location"]')], "is none of the nine"),
        ([item(type='"Audio"')], "type '\"Audio\"' is no JSON list in a string"),
        ([item(anser=None)], "anser None is no text"),
        ([{k: v for k, v in item().items() if k != "anser"}], r"item 0 \(question_id 12\): no 'anser'"),
        ([item(question_id="x")], "question_id 'x' is no whole number"),
        ([item(question_content="a " * 15, templ_values="[]")], "has 15 words, 1 to 14 can be read"),
        ([item(question_content=" ? ", templ_values="[]")], "has 0 words"),
        ([item(), item(video_id="00000001")], "item 1: question_id 12 is another question's too"),
    ],
)
def test_what_can_be_wrong_is_one_line_that_names_file_and_item(tmp_path, content, words):
    path = write(tmp_path / "q.json", content)
    with pytest.raises(UserError, match=words) as caught:
        read_questions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"q\.json is missing"):
        read_questions(tmp_path / "q.json")


def test_one_question_may_have_the_answers_of_two_people(tmp_path):
    """The official files have such; each answer is a question to be scored."""
    found = read_questions(write(tmp_path / "q.json", [item(), item(anser="three")]))
    assert [question.answer for question in found] == ["two", "three"]


@pytest.mark.skipif(not QUESTIONS.is_dir(), reason="no official question files; IEMF_OFFICIAL_LISTS names their folder")
def test_the_official_files():
    questions = read_questions(QUESTIONS / "avqa-test.json")
    counts = Counter(question.kind for question in questions)
    assert [counts[kind] for kind in TYPES] == TEST_COUNTS
    assert len(questions) == 9185
    both = questions + read_questions(QUESTIONS / "avqa-val.json")
    assert len(both) == 9185 + 4595
    assert max(len(question.words) for question in both) == LONGEST
    # The published vocabulary has 93 entries with the padding; the train split is not needed to see them all.
    assert len(vocabulary.build(both).words) == 93
    assert {column(kind) for kind in counts} >= {"av_temporal", "a_counting"}
