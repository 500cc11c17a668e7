"""Defaults of the recipes, and options that nothing would read."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.avqa.options import RunConfig, resolve
from experiments.avqa.run import AVQAConfig, grid
from experiments.sweep.command_line import as_options, parse
from iemf.errors import UserError
from iemf.training import RunFolder


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("paper", ("sgd", 1e-2, None, 50, 30)),
        ("original", ("adam", 1e-4, 8, 80, 30)),
        ("released", ("sgd", 1e-2, 15, 50, 30)),
    ],
)
def test_what_the_recipes_set(recipe, expected):
    run = resolve(RunConfig(dataset="music-avqa", recipe=recipe, data_root=Path("x"), model="st-avqa"))
    assert (run.optimizer, run.lr, run.drop_every, run.epochs, run.match_epochs) == expected
    assert (run.batch_size, run.width) == (64, 512)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"width": 10}, "--width 10 must be a multiple of 4"),
        ({"lr": -1.0}, "--lr -1 must be a positive"),
        ({"gamma": float("nan")}, "--gamma nan"),
        ({"batch_size": 1}, "--batch-size 1 must be 2 or more"),
        ({"models": ()}, "--models : name at least one"),
        ({"seeds": (1, 1)}, "--seeds 1 1"),
        ({"jobs": 0}, "--jobs 0 must be 1 or more"),
        ({"dataset": "music-avqa"}, "--data-root None: --dataset music-avqa needs it"),
        ({"data_root": Path("x")}, "av-digits-qa is embedded; leave it out"),
        ({"recipe": "original"}, "--recipe original is an optimiser and epochs"),
        ({"recipe": "released", "gamma": 2.0}, "--gamma 2: --recipe released ignores"),
        ({"time_steps": 2}, "--time-steps 2 is read with --network snn only, by none"),
        ({"no_iemf": True, "gamma": 2.0}, "--gamma 2 is read with --iemf only, by none"),
        ({"models": ("baseline",), "match_epochs": 3}, "--match-epochs 3 is read with --model st-avqa only, by none"),
        (
            {"dataset": "music-avqa", "data_root": Path("x"), "cache": Path("y")},
            "--cache y is read with --dataset av-digits-qa only",
        ),
        ({"no_iemf": True, "variants": ("iemf",)}, "--variants : name at least one"),
        ({"recipe": "released", "scale": "step"}, "--recipe released has ξ on the gradient"),
        ({"clip_norm": -1.0}, "--clip-norm -1 must be a positive"),
        ({"modulate_from": 12}, "--modulate-from 12 leaves ξ without an epoch: there are 12"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UserError) as error:
        grid(AVQAConfig(**options))
    assert words in as_options(str(error.value))


def test_options_in_the_singular():
    options = ["--model", "st-avqa", "--network", "snn", "--no-joint", "--seeds", "7"]
    vanilla, iemf = grid(parse(AVQAConfig, options, "avqa"))
    assert (iemf.model, iemf.network, iemf.variant, iemf.seed) == ("st-avqa", "snn", "iemf", 7)
    without = dict.fromkeys(("gamma", "gate", "scale", "modulate_from"))
    assert vanilla == replace(iemf, variant="vanilla", out=vanilla.out, **without)
    assert grid(parse(AVQAConfig, [*options[:4], *options[5:], "--iemf"], "avqa")) == [iemf]


def test_what_a_model_network_or_variant_does_not_read_is_not_stored():
    for run in grid(AVQAConfig(networks=("ann", "snn"), blind=True)):
        assert (run.match_epochs is None) == (run.model != "st-avqa")
        assert (run.gamma is None) == (run.gate is None) == (run.scale is None) == (run.variant != "iemf")
        assert (run.time_steps is None) == (run.network == "ann")
        assert None not in run.stored().values()


def test_one_stage_1_serves_every_run_of_a_seed():
    run = resolve(RunConfig(model="st-avqa", out=Path("a")))
    other = resolve(RunConfig(model="st-avqa", network="snn", variant="iemf", gamma=2.0, time_steps=2, out=Path("b"),
                              epochs=5))  # fmt: skip
    assert run.grounding == other.grounding
    assert run.grounding.out.name == "grounding-seed0"
    assert run.grounding != replace(run, seed=1).grounding


def test_stage_1_has_a_schedule_of_its_own():
    run = resolve(RunConfig(model="st-avqa", schedule="cosine", warmup=20))
    assert (run.schedule, run.warmup, run.drop_every) == ("cosine", 20, None)
    assert (run.grounding.schedule, run.grounding.warmup) == (None, None)


def test_a_step_without_its_epochs_is_refused():
    with pytest.raises(UserError, match="`schedule` step needs `drop_every`"):
        resolve(RunConfig(dataset="music-avqa", data_root=Path("data"), schedule="step"))


def test_runs_of_an_earlier_revision_are_others(tmp_path):
    run = resolve(RunConfig(out=tmp_path / "run"))
    before = {name: value for name, value in run.stored().items() if name != "revision"}
    RunFolder(run.out).start(before)
    with pytest.raises(UserError, match="has revision=None, this run 2"):
        RunFolder(run.out).check(run.stored(), resume=True)
