"""Defaults of the recipes, and options that nothing would read."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.continual.options import RunConfig, resolve
from experiments.continual.run import ContinualConfig, grid
from experiments.sweep.command_line import as_options, parse
from iemf.errors import UserError
from iemf.training import Window


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"lr": -1.0}, "--lr -1 must be a positive finite number"),
        ({"gamma": float("inf")}, "--gamma inf"),
        ({"methods": ()}, "--methods"),
        ({"seeds": (1, 1)}, "--seeds 1 1"),
        ({"jobs": 0}, "--jobs 0 must be 1 or more"),
        ({"exemplar_batch_size": 0}, "--exemplar-batch-size 0 must be 1 or more"),
        ({"tasks": 1}, "--tasks 1 must be 2 or more"),
        ({"dataset": "ave-ci"}, "--data-root None: --dataset ave-ci needs it"),
        ({"data_root": Path("x")}, "--dataset av-digits-ci is embedded; leave it out"),
        ({"recipe": "released", "networks": ("snn",)}, "--recipe released has no activations"),
        ({"recipe": "released", "gamma": 2.0}, "--gamma 2: --recipe released ignores"),
        ({"recipe": "released"}, "--epochs 20: the released av-cil applies ξ from epoch 20 on"),
        ({"recipe": "released", "methods": ("lwf",), "scale": "gradient"}, "released has ξ on the step of lwf"),
        ({"no_iemf": True, "variants": ("iemf",)}, "--variants : name at least one"),
        ({"recipe": "original"}, "--recipe original is an optimiser and epochs"),
        ({"no_iemf": True, "gamma": 2.0}, "--gamma 2 is read with --iemf only, by none"),
        ({"time_steps": 9}, "--time-steps 9 is read with --network snn only, by none"),
        ({"methods": ("lwf",), "memory": 7}, "--memory 7 is read with --method ssil and av-cil only, by none"),
        ({"methods": ("lwf",), "exemplar_batch_size": 7}, "--exemplar-batch-size 7 is read with"),
        ({"methods": ("ssil",), "instance": 0.1}, "--instance 0.1 is read with --method av-cil only, by none"),
        ({"methods": ("ssil",), "category": 0.1}, "--category 0.1 is read with --method av-cil only, by none"),
        ({"modulate_from": 20}, "--modulate-from 20 leaves ξ without an epoch: there are 20"),
        ({"clip_norm": 0.0}, "--clip-norm 0 must be a positive finite number"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(UserError) as error:
        grid(ContinualConfig(**options))
    assert words in as_options(str(error.value))


def test_another_optimiser_has_its_own_rate():
    assert resolve(RunConfig(optimizer="sgd")).lr == 1e-2
    assert resolve(RunConfig()).lr == 1e-3
    assert resolve(RunConfig(out=Path("x"))).memory == 50


def test_what_a_method_network_or_variant_does_not_read_is_not_stored():
    runs = {(run.network, run.method, run.variant): run for run in grid(ContinualConfig(networks=("ann", "snn")))}
    for (network, method, variant), run in runs.items():
        assert (run.memory is None) == (run.exemplar_batch_size is None) == (method in ("lwf", "fine-tuning"))
        assert (run.instance is None) == (run.category is None) == (method != "av-cil")
        assert (run.gamma is None) == (run.gate is None) == (run.scale is None) == (variant != "iemf")
        assert (run.time_steps is None) == (network == "ann")
        assert None not in run.stored().values()


def test_options_in_the_singular():
    options = ["--method", "lwf", "--network", "snn", "--no-joint", "--seeds", "7"]
    vanilla, iemf = grid(parse(ContinualConfig, options, "continual"))
    assert (iemf.method, iemf.network, iemf.variant, iemf.seed) == ("lwf", "snn", "iemf", 7)
    without = dict.fromkeys(("gamma", "gate", "scale", "modulate_from"))
    assert vanilla == replace(iemf, variant="vanilla", out=vanilla.out, **without)
    alone = grid(parse(ContinualConfig, [*options[:4], *options[5:], "--iemf"], "continual"))
    assert alone == [iemf]
    assert {run.variant for run in grid(ContinualConfig(no_iemf=True))} == {"vanilla", "joint"}


@pytest.mark.parametrize(
    ("dataset", "recipe", "method", "expected"),
    [
        ("ave-ci", "paper", "lwf", ("sgd", 1e-2, 100, 256, None, None, None)),
        ("ave-ci", "paper", "av-cil", ("sgd", 1e-2, 100, 256, 128, 340, 0.5)),
        ("ave-ci", "original", "lwf", ("adam", 1e-3, 200, 256, None, None, None)),
        ("ave-ci", "original", "av-cil", ("adam", 1e-3, 200, 256, 128, 340, 0.5)),
        ("k-s-ci", "original", "lwf", ("adam", 1e-3, 100, 256, None, None, None)),
        ("k-s-ci", "original", "ssil", ("adam", 1e-3, 100, 256, 128, 500, None)),
        ("k-s-ci", "original", "av-cil", ("adam", 1e-3, 200, 256, 128, 500, 0.1)),
        ("vs100-ci", "paper", "av-cil", ("adam", 1e-3, 100, 256, 128, 1500, 0.1)),
        ("vs100-ci", "released", "av-cil", ("adam", 1e-3, 100, 256, 128, 1500, 0.1)),
    ],
)
def test_what_the_recipes_set(dataset, recipe, method, expected):
    run = resolve(RunConfig(dataset=dataset, recipe=recipe, method=method, data_root=Path("x")))
    found = (run.optimizer, run.lr, run.epochs, run.batch_size, run.exemplar_batch_size, run.memory, run.instance)
    assert found == expected
    assert (run.weight_decay, run.features, run.category) == (1e-4, 768, 1.0 if method == "av-cil" else None)


def test_the_window_of_the_recipes():
    paper, released = (RunConfig(recipe=recipe, variant="iemf", optimizer="sgd") for recipe in ("paper", "released"))
    assert (paper.window, released.window) == (Window(0), Window(20, 70, hold=True))
    assert replace(released, method="ssil").window == Window(0)
    assert replace(paper, modulate_from=3).window == Window(3)
