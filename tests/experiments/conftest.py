"""Programs as their modules run them."""

import sys

import pytest

from experiments import (
    avqa,
    avqa_data,
    avqa_encoders,
    classification,
    cli,
    compare,
    continual,
    extract,
    firing_rates,
    prepare,
)  # fmt: skip
from experiments.avqa import AVQAConfig
from experiments.compare import CompareConfig
from experiments.continual import ContinualConfig
from experiments.extract import ExtractConfig
from experiments.firing_rates import FiringRatesConfig
from experiments.options import RunConfig
from experiments.prepare import PrepareConfig
from iemf.avqa import av_digits_qa
from tests import official
from tests.preparing import SMALL

PROGRAMS = {
    "avqa": (AVQAConfig, avqa.main),
    "classification": (RunConfig, classification.main),
    "compare": (CompareConfig, compare.main),
    "continual": (ContinualConfig, continual.main),
    "extract": (ExtractConfig, extract.main),
    "firing_rates": (FiringRatesConfig, firing_rates.main),
    "prepare": (PrepareConfig, prepare.main),
}


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a program as its module does; (exit code, stdout, stderr)."""

    def run(program, *arguments):
        monkeypatch.setattr(sys, "argv", ["x", *map(str, arguments)])
        code = 0
        try:
            cli.run(*PROGRAMS[program], program)
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def digits_qa(tmp_path_factory):
    """The folder of a small av-digits-qa: encoders of one epoch, few scenes."""
    folder = tmp_path_factory.mktemp("qa") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avqa_encoders, "EPOCHS", 1)
        for split, count in {"train": 40, "val": 10, "test": 12}.items():
            patch.setitem(av_digits_qa.SCENES, split, count)
        avqa_data.make_if_missing(folder, progress=False)
        yield folder


@pytest.fixture
def prepared(call, tmp_path):
    """A prepared folder of 12 pairs, less the faulty."""
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    official.urbansound8k_av(raw, per_class=8)
    assert call("prepare", "urbansound8k-av", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.5)[0] == 0
    return out
