"""Means, deviations and tests by hand."""

import numpy as np
import pytest

from experiments.sweep import statistics


def test_mean_and_deviation_by_hand():
    assert statistics.plus_minus([]) == "–"
    assert statistics.plus_minus([3.0]) == "3.00"
    assert statistics.plus_minus([1.0, 2.0, 3.0]) == "2.00 ± 1.00"
    assert statistics.plus_minus([1.0, 2.0], signed=True) == "+1.50 ± 0.71"
    assert statistics.summary([1.0, 2.0, 3.0]) == {"mean": 2.0, "std": 1.0, "values": [1.0, 2.0, 3.0]}
    assert statistics.summary([4.0]) == {"mean": 4.0, "std": None, "values": [4.0]}


def test_paired_differences_in_words():
    """One row clearly above zero, one clearly below, one neither; a single difference is not tested."""
    text = statistics.paired("A − B", [[1.0, 1.1, 0.9], [-1.0, -1.1, -0.9], [0.1, -0.1, 0.0], [5.0]])
    assert text == (
        " A − B: 4 of 9 paired differences are positive, 4 negative; of 3 rows 1 gain and 1 lose by a paired t-test at "
        "5 %, uncorrected."
    )
    assert statistics.paired("A − B", [[5.0]]) == ""
    assert "0 gain and 0 lose" in statistics.paired("A − B", [[0.0, 0.0]])
    assert "1 gain and 0 lose" in statistics.paired("A − B", [[1.0, 1.0]])


def test_comparisons_are_taken_seed_by_seed_over_all_rows():
    values = {
        ("ann", "a", "vanilla"): {0: 1.0, 1: 2.0, 2: 9.0},
        ("ann", "a", "iemf"): {1: 3.0, 0: 3.0, 5: 7.0},
        ("ann", "b", "joint"): {0: 1.0, 1: 1.0},
        ("ann", "b", "iemf"): {0: 0.5, 1: 0.0},
    }
    labels = {"vanilla": "vanilla", "joint": "joint", "iemf": "IEMF"}
    told = statistics.comparisons_in_words(values, labels, "AIA, ")
    assert " AIA, IEMF − vanilla: 2 of 2 paired differences are positive, 0 negative; of 1 rows" in told
    assert " AIA, IEMF − joint: 0 of 2 paired differences are positive, 2 negative" in told
    assert "joint − vanilla" not in told
    assert statistics.difference(values["ann", "a", "iemf"], values["ann", "a", "vanilla"]) == [2.0, 1.0]
    assert statistics.other(("ann", "a", "iemf", ("audio",)), "joint") == ("ann", "a", "joint", ("audio",))


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"a": {0: 1, 3: 1}, "b": {3: 1}}, "over 1 to 2 seeds (0, 3)"),
        ({"a": {0: 1, 3: 1}, "b": {3: 1, 0: 1}}, "over 2 seeds (0, 3)"),
        ({"a": {7: 1}, "b": {7: 1}}, "one seed a cell (7): no spread, so no conclusions"),
    ],
)
def test_seeds_in_words(cells, words):
    assert words in statistics.seeds_in_words(cells)


def test_holm_by_hand():
    """Sorted .01, .03, .04 times 3, 2, 1: .03, .06, .04, which may not fall again."""
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.5, 0.9]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_p_value_of_equal_differences():
    assert statistics.p_value([0.0, 0.0]) == 1
    assert statistics.p_value([1.0, 1.0]) == 0
    assert statistics.p_value([1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)  # t = 2·√3, 2 degrees of freedom


def test_what_n_could_see_is_found_as_often_as_it_says():
    """Simulated: differences of that mean and deviation 1, n = 5, pass the test in 80 of 100 cases."""
    values = [-1.2649, -0.6325, 0.0, 0.6325, 1.2649]  # deviation 1
    mean = statistics.detectable(values)
    random = np.random.default_rng(0)
    passed = [statistics.p_value(random.normal(mean, 1, 5).tolist()) < 0.05 for _ in range(4000)]
    assert np.mean(passed) == pytest.approx(0.8, abs=0.02)
    with pytest.raises(ValueError, match="one difference"):
        statistics.detectable([1.0])
