"""What the note below a table says of how its runs were trained."""

import pytest

from experiments.classification.options import RunConfig, resolve
from experiments.classification.report import late, schedule


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "12 epochs, sgd with lr 0.05, down to 0 on a cosine, 100 steps of warm-up, momentum 0.9, recipe paper"),
        (
            {"schedule": "step", "epochs": 8, "warmup": 0},
            "8 epochs, sgd with lr 0.05, a tenth of it from epoch 7, momentum 0.9, recipe paper",
        ),
        (
            {"schedule": "plateau", "patience": 3, "warmup": 0, "optimizer": "adam"},
            "at most 12 epochs, adam with lr 0.001, a tenth of it after 3 epochs without a better validation, the "
            "third time over, recipe paper",
        ),
        ({"schedule": "constant", "warmup": 0}, "12 epochs, sgd with lr 0.05, momentum 0.9, recipe paper"),
    ],
)
def test_a_schedule_in_words(options, words):
    assert schedule(resolve(RunConfig(**options))) == words


def test_runs_that_may_still_improve_are_counted():
    # of ten epochs, from 0, the last tenth is epoch 9
    cells = {("ann", "concat", "joint"): {0: {"best_epoch": 9}, 1: {"best_epoch": 8}, 2: {"best_epoch": 3}}}
    run = resolve(RunConfig(epochs=10))
    assert late(cells, run) == " 1 of 3 runs are best in the last tenth of their epochs."
    assert late(cells, resolve(RunConfig(epochs=10, schedule="plateau"))) == ""
