"""Weights at the end of training are what they were, bit for bit."""

import pytest

from tests.golden import runs


def test_weights_are_those_of_before(tmp_path):
    expected = runs.stored().get(runs.machine())
    if expected is None:
        pytest.skip(
            f"no hashes for this machine ({runs.machine()}); python -m tests.golden --write at a commit to compare"
        )
    assert runs.hashes(tmp_path) == expected
