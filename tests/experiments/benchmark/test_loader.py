"""The benchmark of reading clips."""

import json
from dataclasses import replace

import pytest

from experiments.benchmark import loader, run
from experiments.benchmark.options import BenchmarkConfig
from iemf.data.audio import to_float
from iemf.data.clips import Clips, View
from iemf.errors import UserError


def test_the_loaders_table_follows_from_the_rates():
    record = {"kind": "films", "frames": 3, "bytes_raw": 200_000, "bytes_prepared": 150_400, "prepare": 7.4,
              "raw": [10.0, 30.0, 20.0], "prepared": [400.0, 500.0, 300.0]}  # fmt: skip
    row = loader.markdown([record]).splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "films", "3", "20.0", "400 (300 – 500)", "20", "200 kB → 150 kB", "7"]  # fmt: skip


def test_the_loaders_contestants_read_the_same_clips(tmp_path, monkeypatch):
    kind = replace(loader.KINDS[0], seconds=0.5, size=(64, 48))
    raw, prepared, about = loader.sources(kind, 2, tmp_path)
    slow, fast = (Clips(source, [0, 1], View(2, 32, 0.5), False) for source in (raw, prepared))
    assert (slow[1].audio - to_float(fast[1].audio)).abs().max() < 1 / 32767
    assert (slow[1].visual.float() - fast[1].visual.float()).abs().mean() < 12
    assert about["bytes_prepared"] > 0
    monkeypatch.setattr(loader, "KINDS", (kind,))
    monkeypatch.setattr(loader, "FRAMES", (1,))
    run.main(BenchmarkConfig("loader", repeats=1, out=tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "loader.json").read_text())[0]["frames"] == 1
    with pytest.raises(UserError, match="`width` 32 is of no use"):
        run.main(BenchmarkConfig("loader", width=32))
