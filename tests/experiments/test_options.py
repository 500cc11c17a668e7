"""Defaults, and options that nothing would read."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.options import RunConfig, resolve
from iemf.errors import UserError

configs = st.builds(
    RunConfig,
    network=st.sampled_from(["ann", "snn"]),
    method=st.sampled_from(["concat", "mslr", "ogm-ge", "lfm"]),
    iemf=st.booleans(),
    joint=st.booleans(),
    recipe=st.sampled_from(["paper", "released"]),
    optimizer=st.sampled_from([None, "sgd", "adam"]),
    lr=st.one_of(st.none(), st.floats(1e-6, 1)),
    seed=st.integers(0, 99),
)


@given(configs)
def test_resolving_twice_is_resolving_once_and_survives_json(config):
    import json

    resolved = resolve(config)
    assert resolve(resolved) == resolved
    assert RunConfig.from_stored(json.loads(json.dumps(resolved.stored()))) == resolved


def test_paper_and_released_recipes():
    folder = {"dataset": "folder", "data_root": Path("x")}
    paper = resolve(RunConfig(**folder))
    assert (paper.lr, paper.momentum, paper.weight_decay, paper.lr_drop) == (5e-3, 0.0, 1e-4, None)
    assert (paper.batch_size, paper.epochs, paper.width) == (32, 100, 64)
    released = resolve(RunConfig(**folder, recipe="released"))
    assert (released.momentum, released.lr_drop) == (0.9, 70)


def test_defaults_of_iemf_and_snn():
    assert resolve(RunConfig()).gamma is None
    config = resolve(RunConfig(iemf=True, network="snn"))
    assert (config.gamma, config.gate, config.scale, config.time_steps) == (1.0, "tanh", "gradient", 4)
    assert resolve(RunConfig(iemf=True, optimizer="adam")).scale == "step"
    assert resolve(RunConfig(iemf=True, optimizer="adam", scale="gradient")).scale == "gradient"
    assert resolve(RunConfig(optimizer="adam")).momentum is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 2.0}, "--gamma 2.0 is read with --iemf only"),
        ({"scale": "step", "joint": True}, "--scale step is read with --iemf only"),
        ({"time_steps": 4}, "--time-steps 4 is read with --network snn only"),
        ({"frames": 3}, "--frames 3 is read with --dataset folder only"),
        ({"workers": 2}, "--workers 2"),
        ({"dataset": "folder"}, "--dataset folder needs --data-root"),
        ({"dataset": "folder", "data_root": Path("x"), "snr": (-5.0, 0.0)}, "--snr"),
        ({"optimizer": "adam", "momentum": 0.9}, "--momentum 0.9 is read with --optimizer sgd only"),
        ({"iemf": True, "recipe": "released", "gamma": 2.0}, "--recipe released ignores"),
        ({"batch_size": 1}, "batch of one"),
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"lr": -0.1}, "--lr -0.1"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"iemf": True, "gamma": 0.0}, "--gamma 0.0"),
        ({"momentum": 1.0}, "--momentum 1.0"),
        ({"weight_decay": -1.0}, "--weight-decay -1.0"),
        ({"network": "snn", "time_steps": 0}, "--time-steps 0"),
    ],
)
def test_options_without_effect_and_values_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        resolve(RunConfig(**options))


def test_fp16_needs_cuda(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="--precision fp16 needs a CUDA device; use bf16"):
        resolve(RunConfig(precision="fp16"))


def test_variants():
    assert [RunConfig(iemf=i, joint=j).variant for i, j in ((0, 0), (0, 1), (1, 0), (1, 1))] == [
        "vanilla", "joint", "iemf", "iemf"]  # fmt: skip
    assert replace(RunConfig(), iemf=True).variant == "iemf"
