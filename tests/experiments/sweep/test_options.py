"""Which variants a sweep has, who reads which option, and what a run's folder is called."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from experiments.classification.compare import CompareConfig, grid
from experiments.classification.options import RunConfig, resolve
from experiments.sweep import options
from experiments.sweep.build import window_of
from experiments.sweep.options import ReadBy, SweepOptions
from iemf.errors import UserError
from iemf.training.record import differing_fields


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({}, ("vanilla", "joint", "iemf")),
        ({"iemf": True}, ("iemf",)),
        ({"joint": True}, ("joint",)),
        ({"iemf": True, "joint": True}, ("joint", "iemf")),
        ({"no_iemf": True}, ("vanilla", "joint")),
        ({"no_joint": True}, ("vanilla", "iemf")),
        ({"no_iemf": True, "no_joint": True}, ("vanilla",)),
        ({"iemf": True, "no_joint": True}, ("iemf",)),
        ({"iemf": True, "variants": ("vanilla", "iemf")}, ("iemf",)),
    ],
)
def test_the_variants_that_are_left(chosen, left):
    assert options.chosen_variants(SweepOptions(**chosen)) == left
    assert options.checked(SweepOptions(**chosen)).variants == left


@pytest.mark.parametrize("chosen", [{"variants": ("vanilla",), "iemf": True}, {"variants": ("iemf",), "no_iemf": True}])
def test_a_sweep_without_variants_is_refused(chosen):
    with pytest.raises(UserError, match="`variants` : name at least one, each once"):
        options.checked(SweepOptions(**chosen))


RULES = (ReadBy(("depth",), lambda run: run.deep, "`deep`"),)


def test_what_a_cell_does_not_read_is_left_out_and_what_none_reads_is_refused():
    runs = [replace(RunConfig(), iemf=iemf, gamma=2.0) for iemf in (True, False)]
    rules = options.of_iemf()
    assert [run.gamma for run in options.cells_of_sweep(runs, rules)] == [2.0, None]
    with pytest.raises(UserError, match="`gamma` 2 is read with `iemf` only, by none of the runs; leave it out"):
        options.cells_of_sweep(runs[1:], rules)
    with pytest.raises(UserError, match="`depth` 3 is read with `deep` only; leave it out"):
        options.refuse_unread(SimpleNamespace(depth=3, deep=False), RULES)
    options.refuse_unread(SimpleNamespace(depth=3, deep=True), RULES)
    options.refuse_unread(SimpleNamespace(depth=None, deep=False), RULES)


def test_other_options_of_iemf_are_in_the_name_of_a_runs_folder():
    def name(**changes):
        of_iemf = dict.fromkeys(options.OF_IEMF) | {"gamma": 1.0, "gate": "tanh", "modulate_from": 0} | changes
        run = SimpleNamespace(seed=4, parts=("ann", "lwf", "iemf"), **of_iemf)
        defaults = {"gamma": 1.0, "gate": "tanh", "scale": "step", "modulate_from": 0}
        return options.run_name(run, defaults)

    assert name() == "ann-lwf-iemf-seed4"
    assert name(gamma=None, gate=None) == "ann-lwf-iemf-seed4"
    assert name(gamma=2.0, modulate_from=3) == "ann-lwf-iemf-gamma2-modulate-from3-seed4"
    assert name(gamma=None, gate=None, xi=1.25) == "ann-lwf-iemf-xi1.25-seed4"
    assert name(xi="shuffled", modulate_to=5) == "ann-lwf-iemf-modulate-to5-xi-shuffled-seed4"
    assert name(gate="erf", scale="gradient", gamma=0.5) == "ann-lwf-iemf-gamma0.5-gate-erf-scale-gradient-seed4"


def test_a_fixed_xi_reads_neither_gamma_nor_gate_and_a_shuffled_one_both():
    def resolved(**own):
        config = CompareConfig(methods=("concat",), networks=("ann",), variants=("iemf",), seeds=(0,), **own)
        (run,) = grid(config)
        return run

    fixed, shuffled, plain = resolved(xi=1.25), resolved(xi="shuffled", gamma=2.0), resolved()
    assert (fixed.xi, fixed.gamma, fixed.gate, fixed.scale) == (1.25, None, None, "gradient")
    assert (shuffled.xi, shuffled.gamma, shuffled.gate) == ("shuffled", 2.0, "tanh")
    assert not {"xi", "modulate_to"} & plain.stored().keys()
    for read in ({"gamma": 2.0}, {"gate": "erf"}):
        with pytest.raises(UserError, match="is read with a ξ that is measured, no number as `xi`, only"):
            resolved(xi=1.25, **read)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"xi": -1.0}, "`xi` -1 must be a finite number of 0 or more, or shuffled"),
        ({"xi": float("inf")}, "`xi` inf must be"),
        ({"xi": 1.0, "recipe": "released"}, "`xi` 1: `recipe` released measures ξ"),
        ({"modulate_to": 12}, "`modulate_to` 12 must be an epoch from 0 to 11, the last"),
        ({"modulate_from": 4, "modulate_to": 3}, "`modulate_to` 3 must be an epoch from 4 to 11"),
    ],
)
def test_controls_out_of_range_are_refused(own, message):
    with pytest.raises(UserError) as error:
        resolve(RunConfig(iemf=True, **own))
    assert message in str(error.value)


def test_the_window_of_a_run():
    run = resolve(RunConfig(iemf=True, modulate_from=2, modulate_to=5))
    assert [epoch for epoch in range(12) if epoch in window_of(run)] == [2, 3, 4, 5]
    assert 11 in window_of(resolve(RunConfig(iemf=True)))


def test_stored_is_what_is_set(tmp_path):
    """None is left out; where the data lie, and what the paper says, do not tell one run from another."""
    runs = grid(
        CompareConfig(dataset="crema-d", data_root=tmp_path, methods=("concat",), networks=("ann",), seeds=(0,))
    )
    stored = {run.variant: run.stored() for run in runs}
    assert {"gamma", "gate", "scale", "modulate_from"} <= stored["iemf"].keys()
    for of_variant in stored.values():
        assert None not in of_variant.values()
        assert "time_steps" not in of_variant
        assert next(iter(of_variant)) == "paper"
        assert of_variant["task"] == "classification"
    for variant in ("vanilla", "joint"):
        assert not {"gamma", "gate", "scale", "modulate_from"} & stored[variant].keys()
    moved = stored["iemf"] | {"data_root": "elsewhere", "cache": "x", "paper": "other words", "workers": 9, "out": "y"}
    assert differing_fields(stored["iemf"], moved) == []
    assert differing_fields(stored["iemf"], moved | {"data_digest": "other"}) == ["data_digest"]
    assert differing_fields(stored["iemf"], moved | {"gamma": 2.0}) == ["gamma"]


def test_values_as_they_would_be_typed():
    assert options.shown((0.0, float("inf"))) == "0 inf"
    assert options.shown(2.5) == "2.5"
    assert options.shown("tanh") == "tanh"
    assert options.plain((1.0, float("inf"))) == [1.0, "inf"]
