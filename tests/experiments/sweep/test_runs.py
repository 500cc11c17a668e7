"""What is said of a run at its end."""

import pytest

from experiments.continual.options import RunConfig
from experiments.sweep.runs import has_not_learnt


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"train_accuracy_fused": 14.0, "chance": 10.0}, True),
        ({"train_accuracy_fused": 15.5, "chance": 10.0}, False),
        ({"train_accuracy_fused": 14.0}, False),
        ({"chance": 10.0}, False),
    ],
)
def test_only_the_last_epoch_counts_and_only_where_chance_is_known(record, said):
    history = [{"train_accuracy_fused": 1.0, "chance": 10.0}, record]
    assert (has_not_learnt(RunConfig(lr=0.03, epochs=7), history) is not None) == said


def test_it_says_what_to_try():
    history = [{"train_accuracy_fused": 14.0, "chance": 10.0}]
    line = has_not_learnt(RunConfig(lr=0.03, epochs=7), history)
    assert line == ("training accuracy is 14.0 % at the end, near chance (10.0 %, the most frequent class); try --lr "
                    "0.09 or 0.01, more than --epochs 7, or --schedule cosine --warmup 100")  # fmt: skip
    assert "--schedule" not in has_not_learnt(RunConfig(lr=0.03, epochs=7, schedule="cosine"), history)
    assert has_not_learnt(RunConfig(), []) is None
