"""Defaults, and options that nothing would read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.classification.options import RunConfig, resolve
from experiments.sweep.command_line import as_options
from iemf.errors import UserError

configs = st.builds(
    lambda variant, **options: RunConfig(iemf=variant == "iemf", joint=variant == "joint", **options),
    variant=st.sampled_from(["vanilla", "joint", "iemf"]),
    network=st.sampled_from(["ann", "snn"]),
    method=st.sampled_from(["concat", "mslr", "ogm-ge", "lfm"]),
    recipe=st.sampled_from(["paper", "released"]),
    optimizer=st.sampled_from([None, "sgd", "adam"]),
    lr=st.one_of(st.none(), st.floats(1e-6, 1)),
    seed=st.integers(0, 99),
    snr_audio=st.sampled_from([None, (-3.0,), (-5.0, 2.0)]),
    test_snr_visual=st.sampled_from([None, (0.0,), (float("inf"),)]),
)


@given(configs)
def test_resolving_twice_is_resolving_once_and_survives_json(config):
    resolved = resolve(config)
    assert resolve(resolved) == resolved
    assert RunConfig.from_stored(json.loads(json.dumps(resolved.stored()))) == resolved


def test_paper_and_released_recipes():
    crema = {"dataset": "crema-d", "data_root": Path("x")}
    paper = resolve(RunConfig(**crema))
    assert (paper.lr, paper.momentum, paper.weight_decay, paper.lr_drop) == (5e-3, 0.0, 1e-4, None)
    assert (paper.batch_size, paper.epochs, paper.width) == (32, 100, 64)
    assert (paper.schedule, paper.warmup) == ("constant", None)
    for dataset in ("crema-d", "folder"):
        released = resolve(RunConfig(**crema | {"dataset": dataset}, recipe="released"))
        assert (released.lr, released.momentum, released.lr_drop, released.epochs) == (5e-3, 0.9, 70, 100)


def test_the_papers_data_sets():
    def of(dataset, **options):
        return resolve(RunConfig(dataset=dataset, data_root=Path("x"), **options))

    crema, kinetics, urban = of("crema-d"), of("kinetics-sounds"), of("urbansound8k-av")
    shapes = [(c.frames, c.image_size, c.spectrogram_size, c.seconds) for c in (crema, kinetics, urban)]
    assert shapes == [(1, 224, None, 3.0), (3, 224, None, 3.0), (1, 128, 128, 4.0)]
    released = {"recipe": "released", "iemf": True}
    windows = [of(d, **released).modulate_from for d in ("crema-d", "kinetics-sounds", "urbansound8k-av")]
    assert windows == [60, 0, 0]
    assert of("crema-d", iemf=True).modulate_from == 0


def test_one_ratio_is_a_range_of_no_width():
    assert resolve(RunConfig(snr_audio=(-4.0,))).snr_audio == (-4.0, -4.0)
    assert resolve(RunConfig()).snr_audio == (-15.0, 0.0)
    assert resolve(RunConfig(dataset="folder", data_root=Path("x"))).snr_audio is None


def test_defaults_of_iemf_and_snn():
    assert resolve(RunConfig()).gamma is None
    config = resolve(RunConfig(iemf=True, network="snn"))
    assert (config.gamma, config.gate, config.scale, config.time_steps) == (1.0, "tanh", "gradient", 4)
    assert resolve(RunConfig(iemf=True, optimizer="adam")).scale == "step"
    assert resolve(RunConfig(iemf=True, optimizer="adam", scale="gradient")).scale == "gradient"
    assert resolve(RunConfig(optimizer="adam")).momentum is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "ogm-ge"}, None),
        ({"method": "concat", "optimizer": "adam"}, None),
        ({"method": "mslr", "optimizer": "adam"}, "step"),
        ({"method": "mslr", "optimizer": "adamw", "balance_scale": "gradient"}, "gradient"),
        ({"method": "ogm-ge", "optimizer": "adam", "recipe": "released"}, "gradient"),
    ],
)
def test_what_the_factors_of_a_method_multiply(options, expected):
    """None, which is the gradient, is how runs were stored before there was a choice."""
    assert resolve(RunConfig(**options)).balance_scale == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 2.0}, "--gamma 2 is read with --iemf only"),
        ({"iemf": True, "joint": True}, "--iemf and --joint name two variants"),
        ({"scale": "step", "joint": True}, "--scale step is read with --iemf only"),
        ({"time_steps": 4}, "--time-steps 4 is read with --network snn only"),
        (
            {"method": "lfm", "balance_scale": "step"},
            "--balance-scale step is read with --method mslr, ogm-ge, agm, mmpareto, ogm only",
        ),
        ({"frames": 3}, "--frames 3 is read with data sets that are not embedded only"),
        ({"workers": 2}, "--workers 2"),
        ({"dataset": "folder"}, "--dataset folder needs --data-root"),
        ({"snr_audio": ()}, "--snr-audio "),
        ({"snr_visual": (0.0, float("inf"))}, "--snr-visual 0 inf must be one or two numbers"),
        ({"test_snr_audio": (float("nan"),)}, "--test-snr-audio nan"),
        ({"snr_audio": (-400.0,)}, "--snr-audio -400 -400 must be one or two numbers of dB within ± 100"),
        ({"iemf": True, "epochs": 5, "modulate_from": 5}, "--modulate-from 5 leaves ξ without an epoch"),
        ({"optimizer": "adam", "momentum": 0.9}, "--momentum 0.9 is read with --optimizer sgd only"),
        ({"iemf": True, "recipe": "released", "gamma": 2.0}, "--recipe released ignores"),
        ({"batch_size": 1}, "batch of one"),
        ({"epochs": 0}, "--epochs 0 must be 1 or more"),
        ({"lr": -0.1}, "--lr -0.1"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"iemf": True, "gamma": 0.0}, "--gamma 0 must be a positive finite number"),
        ({"momentum": 1.0}, "--momentum 1.0"),
        ({"weight_decay": -1.0}, "--weight-decay -1"),
        ({"network": "snn", "time_steps": 0}, "--time-steps 0"),
    ],
)
def test_options_without_effect_and_values_out_of_range_are_refused(options, message):
    with pytest.raises(UserError) as error:
        resolve(RunConfig(**options))
    assert message in as_options(str(error.value))


def test_fp16_needs_cuda(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="`precision` fp16 needs a CUDA device; use bf16"):
        resolve(RunConfig(precision="fp16"))


def test_variants():
    variants = [RunConfig(iemf=i, joint=j).variant for i, j in ((False, False), (False, True), (True, False))]
    assert variants == ["vanilla", "joint", "iemf"]
    assert replace(RunConfig(), iemf=True).variant == "iemf"
