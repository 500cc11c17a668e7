"""Contestants in processes of their own take turns."""

import json
import re

import pytest

from experiments.benchmark import processes, run
from experiments.benchmark.options import BenchmarkConfig
from iemf.errors import UserError


def test_the_whole_way(tmp_path, capsys, monkeypatch):
    """Processes start, take turns and end; the files hold every repetition."""
    monkeypatch.setattr(processes, "contestants", lambda config: ["spikingjelly", "numba", "copy"])
    run.main(BenchmarkConfig("lif", repeats=2, device="cpu", threads=1, shape=(4, 1, 2, 5, 5), out=tmp_path))
    results = json.loads((tmp_path / "lif.json").read_text())
    assert [len(result["seconds"]) for result in results.values()] == [10, 10, 10]
    assert results["numba"]["threads"] == 1
    assert (tmp_path / "lif.md").read_text() in capsys.readouterr().out
    assert re.search(r"^\| numba \| iemf [\d.]+ \|", (tmp_path / "lif.md").read_text(), re.MULTILINE)


def test_a_contestant_that_fails_is_named():
    config = BenchmarkConfig("lif", device="cpu", dtype="float16", shape=(1, 1, 1, 1, 1))
    with pytest.raises(UserError, match=r"contestant 'numba' failed: .*float32 and bfloat16"):
        processes.Contestant("numba", config)


def test_a_fused_backend_is_left_out_where_it_does_not_know_the_dtype():
    names = processes.contestants(BenchmarkConfig("lif", device="cpu", dtype="float16"))
    assert "numba" not in names
    assert "torch" in names
    assert "numba" in processes.contestants(BenchmarkConfig("lif", device="cpu", dtype="bfloat16"))
