"""The search of options: the same trials for every cell, validation alone decides, a comparison takes what it chose."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.classification import compare, tune, tune_report
from experiments.classification.compare import CompareConfig
from experiments.classification.options import RunConfig
from experiments.classification.search_space import Space, around
from experiments.classification.tune import TuneConfig
from experiments.classification.tune_report import Tried
from iemf.classification.stage import ClassificationStage
from iemf.errors import UserError
from tests.experiments import helpers

SMALL = TuneConfig(epochs=1, width=2, batch_size=120, methods=("concat",), networks=("ann",), trials=3, jobs=1,
                   progress=False, variants=("joint", "iemf"), gamma_range=(0.5, 2.0))  # fmt: skip


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """A search that is over; whoever reads the test split would have broken it."""
    config = replace(SMALL, out=tmp_path_factory.mktemp("tune"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassificationStage, "test", None)
        tune.main(config)
    return config


def tried(cell, number, accuracy, loss, lr=0.1, seed=0):
    network, method, variant = cell
    run = RunConfig(network=network, method=method, iemf=variant == "iemf", lr=lr, seed=seed, out=Path("x"))
    return Tried(number, Space(lr=(0.01, 1.0)), run, {"val_accuracy": accuracy, "val_loss": loss, "best_epoch": 0})


def test_values_are_spread_over_the_range_and_one_option_leaves_the_others_as_they_are():
    alone = Space(lr=(0.01, 1.0)).draws(9, seed=3)
    both = Space(lr=(0.01, 1.0), gamma=(1.0, 2.0)).draws(9, seed=3)
    assert [draw["lr"] for draw in both] == [draw["lr"] for draw in alone]
    rates = sorted(draw["lr"] for draw in alone)
    assert len(rates) == 8
    assert rates[0] >= 0.01
    assert rates[-1] <= 1
    assert sum(rate < 0.1 for rate in rates) == 4  # half of them below the middle, in the logarithm
    assert all(1 <= draw["gamma"] <= 2 for draw in both)
    assert Space(lr=(0.01, 1.0)).draws(9, seed=4) != alone


def test_around():
    assert around(0.05, 4) == (0.0125, 0.2)


@pytest.mark.parametrize("ranges", [{"lr": (0.1, 0.01)}, {"lr": (0.0, 1.0)}, {"gamma": (1.0, float("inf"))}])
def test_a_range_that_is_none_is_refused(ranges):
    with pytest.raises(UserError, match="_range"):
        Space(**ranges)


def test_every_cell_has_the_same_trials_its_defaults_first():
    config = TuneConfig(trials=4, gamma_range=(0.5, 2.0), seeds=(0, 1))
    by_cell = {}
    for number, _, run in tune.grid(config):
        by_cell.setdefault(run.cell, []).append((number, run.seed, run.lr))
        assert (run.gamma is None) == (run.variant != "iemf")
        assert number or (run.lr, run.gamma) in ((0.05, None), (0.05, 1.0))
    assert len(by_cell) == 24
    assert len({tuple(trials) for trials in by_cell.values()}) == 1
    (first, *_) = by_cell.values()
    assert [number for number, *_ in first] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert len({lr for *_, lr in first}) == 4


def test_each_method_s_constant_is_searched_around_its_own():
    config = TuneConfig(trials=4, constants=True, methods=("concat", "ogm-ge", "mmpareto"), variants=("vanilla",))
    constants = {}
    for number, space, run in tune.grid(config):
        if number:
            constants.setdefault(run.method, set()).add(run.method_constant)
        assert number or run.method_constant is None
        assert space.method_constant == {"concat": None, "ogm-ge": (0.4, 1.6), "mmpareto": (0.75, 3.0)}[run.method]
    assert constants["concat"] == {None}
    assert len(constants["ogm-ge"]) == 3
    assert all(0.4 <= value <= 1.6 for value in constants["ogm-ge"])


def test_the_rate_that_is_fixed_is_not_searched():
    config = TuneConfig(trials=3, lr=0.03, weight_decay_range=(1e-5, 1e-3))
    assert {run.lr for _, _, run in tune.grid(config)} == {0.03}
    assert len({run.weight_decay for _, _, run in tune.grid(config)}) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 1}, "`trials` 1 must be 2 or more"),
        ({"lr": 0.1, "lr_range": (0.01, 0.1)}, "`lr` 0.1 is fixed"),
        ({"lr": 0.1}, "nothing to search"),
        ({"constants": True, "method_constant": 0.5}, "`method_constant` 0.5 is fixed"),
        ({"gamma_range": (1.0, 2.0), "no_iemf": True}, "`gamma_range` 1 2 is read with `iemf` only"),
    ],
)
def test_searches_that_make_no_sense_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        tune.grid(TuneConfig(**options))


def test_validation_chooses_then_its_loss_then_the_first():
    a, b, c = ("ann", "concat", "vanilla"), ("ann", "lfm", "iemf"), ("snn", "concat", "vanilla")
    records = [tried(a, 0, 50.0, 1.0), tried(a, 1, 60.0, 1.0, lr=0.2), tried(a, 2, 60.0, 0.5, lr=0.3),
               tried(a, 3, 60.0, 0.5, lr=0.4), tried(a, 4, None, None),
               # The mean over seeds counts.
               tried(b, 0, 50.0, 1.0), tried(b, 0, 50.0, 1.0, seed=1),
               tried(b, 1, 90.0, 1.0, lr=0.2), tried(b, 1, 20.0, 1.0, lr=0.2, seed=1),
               tried(b, 2, 99.0, 1.0), tried(b, 2, None, None, seed=1),
               tried(c, 0, None, None)]  # fmt: skip
    first, second = tune_report.choose(records)
    assert (first.cell, first.number, first.options, first.val_accuracy) == (a, 2, {"lr": 0.3}, 60)
    assert (first.default, first.median, first.trials, first.diverged) == (50, 60, 5, 1)
    assert (second.cell, second.number, second.val_accuracy) == (b, 1, 55)


def test_a_search_writes_what_a_comparison_reads(finished):
    content = json.loads((finished.out / "tuned.json").read_text())
    trials = list(csv.DictReader((finished.out / "trials.csv").open()))
    assert len(trials) == 6
    assert (finished.out / "tuning.png").stat().st_size > 1000
    for cell in content["cells"]:
        own = [trial for trial in trials if trial["variant"] == cell["variant"]]
        best = max(own, key=lambda trial: (float(trial["val_accuracy"]), -float(trial["val_loss"])))
        assert (float(best["lr"]), int(best["trial"])) == (cell["chosen"]["lr"], cell["trial"])
        assert cell["trials"] == 3
        assert ("gamma" in cell["chosen"]) == (cell["variant"] == "iemf")
    assert "test split was not read" in (finished.out / "table.md").read_text()

    small = CompareConfig(epochs=1, width=2, batch_size=120, methods=("concat",), networks=("ann",), seeds=(0, 1),
                          variants=("joint", "iemf"), tuned=finished.out / "tuned.json")  # fmt: skip
    for run in compare.grid(small):
        chosen = next(cell["chosen"] for cell in content["cells"] if cell["variant"] == run.variant)
        assert run.lr == chosen["lr"]
        assert run.gamma == chosen.get("gamma")
        assert run.stored()["tuned"] == "3 trials of lr 0.0125 to 0.2, gamma 0.5 to 2"
    with pytest.raises(UserError, match="has nothing for ann concat vanilla; search it too"):
        compare.grid(replace(small, variants=("vanilla",)))
    with pytest.raises(UserError, match=r"`lr` 0\.1 is what `tuned`"):
        compare.grid(replace(small, lr=0.1))


def test_a_search_goes_on_and_ends_as_it_was(finished):
    before = (finished.out / "trials.csv").read_text()
    with helpers.pool_of_one():
        tune.main(finished)
    assert (finished.out / "trials.csv").read_text() == before


def test_a_trial_that_diverges_is_a_trial(small, tmp_path):
    with helpers.pool_of_one():
        tune.main(replace(SMALL, variants=("joint",), gamma_range=None, trials=2, lr_range=(1e30, 1e35), out=tmp_path))
    default, wild = csv.DictReader((tmp_path / "trials.csv").open())
    assert (default["diverged"], wild["diverged"], wild["val_accuracy"]) == ("0", "1", "")
    (cell,) = json.loads((tmp_path / "tuned.json").read_text())["cells"]
    assert (cell["trial"], cell["trials"]) == (0, 2)


STRANGE = {"network": "ann", "method": "concat", "variant": "joint", "trials": 2, "space": {}, "chosen": {"out": 1}}


@pytest.mark.parametrize(
    "content", ["", "[]", '{"cells": 3}', '{"cells": [{"network": "ann"}]}', json.dumps({"cells": [STRANGE]})]
)
def test_a_file_that_is_no_search_is_refused(tmp_path, content):
    path = tmp_path / "tuned.json"
    path.write_text(content)
    with pytest.raises(UserError, match="is not what `iemf tune` wrote"):
        compare.grid(CompareConfig(tuned=path))
    with pytest.raises(UserError, match="does not exist"):
        compare.grid(CompareConfig(tuned=tmp_path / "none.json"))
