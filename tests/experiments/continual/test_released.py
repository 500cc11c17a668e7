"""--recipe released and original of class-incremental learning: each departure that METHODS names."""

from pathlib import Path

import pytest

from experiments.continual import build
from experiments.continual.options import RunConfig, resolve
from iemf.continual import av_digits_ci
from iemf.training import RunFolder, Window


def config(**options):
    return resolve(RunConfig(**{"recipe": "released", "dataset": "ave-ci", "data_root": Path("x")} | options))


@pytest.mark.parametrize(
    ("dataset", "method", "expected"),
    [
        ("ave-ci", "av-cil", ("adam", 1e-3, None, None, 0.1, "step")),
        ("k-s-ci", "av-cil", ("adam", 1e-3, None, None, 0.1, "step")),
        ("vs100-ci", "av-cil", ("adam", 1e-3, None, None, 0.1, "step")),
        ("ave-ci", "lwf", ("sgd", 1e-2, 0.9, 10.0, None, "gradient")),
        ("k-s-ci", "ssil", ("sgd", 1e-2, 0.9, 10.0, None, "gradient")),
        ("vs100-ci", "lwf", ("adam", 1e-3, None, 10.0, None, "step")),
    ],
)
def test_what_released_trains_with(dataset, method, expected):
    run = config(dataset=dataset, method=method, variant="iemf")
    assert (run.optimizer, run.lr, run.momentum, run.clip_norm, run.instance, run.scale) == expected
    paper = config(recipe="paper", dataset="ave-ci", method=method, variant="iemf")
    assert (paper.optimizer, paper.momentum, paper.clip_norm) == ("sgd", 0.0, None)


def test_av_cil_has_xi_and_the_heads_in_a_window_and_keeps_the_rate_behind_it():
    run = config(method="av-cil", variant="iemf")
    assert run.window == run.head_window == Window(20, 70, hold=True)
    assert [epoch in run.window for epoch in (19, 20, 70, 71)] == [False, True, True, False]
    assert 10**6 in config(method="av-cil", variant="vanilla").head_window  # the heads of vanilla runs are probes
    assert 0 in config(method="lwf", variant="iemf").head_window
    assert 0 in config(recipe="paper", method="av-cil", variant="iemf").head_window


def test_the_gradient_is_clipped_before_xi(accelerator, tmp_path):
    run = config(method="lwf", variant="iemf")
    learner = build.build_learner(run, av_digits_ci.load(), RunFolder(tmp_path), accelerator)
    assert learner.options.clip_first
    assert learner.trainer(0).step.clip_first
    assert not build.build_learner(
        config(recipe="paper", method="lwf"), av_digits_ci.load(), RunFolder(tmp_path), accelerator
    ).options.clip_first


@pytest.mark.parametrize(("method", "epochs"), [("lwf", 100), ("ssil", 100), ("av-cil", 200)])
def test_epochs_of_original_on_kinetics_sounds(method, epochs):
    assert config(recipe="original", dataset="k-s-ci", method=method).epochs == epochs
