"""Programs as their modules run them."""

import sys

import pytest

from experiments import avqa, classification, cli, compare, continual, extract, firing_rates, prepare
from experiments.avqa import AVQAConfig
from experiments.compare import CompareConfig
from experiments.continual import ContinualConfig
from experiments.extract import ExtractConfig
from experiments.firing_rates import FiringRatesConfig
from experiments.options import RunConfig
from experiments.prepare import PrepareConfig
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


@pytest.fixture
def prepared(call, tmp_path):
    """A prepared folder of 12 pairs, less the faulty."""
    raw, out = tmp_path / "raw", tmp_path / "prepared"
    official.urbansound8k_av(raw, per_class=8)
    assert call("prepare", "urbansound8k-av", "--source", raw, "--out", out, *SMALL, "--max-skipped", 0.5)[0] == 0
    return out
