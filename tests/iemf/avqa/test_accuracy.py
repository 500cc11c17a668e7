"""Accuracy by type: averages over questions, joined by question id."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iemf.avqa.accuracy import OVERALL, by_type, join
from iemf.avqa.questions import TYPES, Question


def test_averages_are_over_questions_by_hand():
    """Three questions of one type, one of another: 2/3 and 0 make 50, not 33."""
    kinds = [("Audio", "Counting")] * 3 + [("Audio", "Comparative")] + [("Visual", "Location")]
    found = by_type(kinds, [True, True, False, False, True])
    expected = {"a_counting": 200 / 3, "a_comparative": 0.0, "a_avg": 50.0, "v_location": 100.0, "v_avg": 100.0,
                "overall": 60.0}  # fmt: skip
    assert found == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from(TYPES), st.booleans()), min_size=1), st.randoms())
def test_order_does_not_matter_and_overall_is_the_mean(pairs, random):
    found = by_type(*zip(*pairs, strict=True))
    assert found[OVERALL] == pytest.approx(100 * np.mean([right for _, right in pairs]))
    shuffled = random.sample(pairs, len(pairs))
    assert by_type(*zip(*shuffled, strict=True)) == pytest.approx(found)


def test_predictions_are_joined_by_id():
    questions = [
        Question(number, "v", TYPES[0], ("a",), answer) for number, answer in ((7, "one"), (3, "two"), (7, "no"))
    ]
    assert join(questions, {3: "two", 7: "one"}) == [True, True, False]
    with pytest.raises(ValueError, match="2 questions have no prediction, the first is question_id 7"):
        join(questions, {3: "two"})


@pytest.mark.parametrize(("kinds", "correct"), [([], []), ([TYPES[0]], [])])
def test_nothing_to_score_is_refused(kinds, correct):
    with pytest.raises(ValueError, match="need as many answers"):
        by_type(kinds, correct)
