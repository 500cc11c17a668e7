"""The benchmark: contestants compute the same, take turns, and the table follows from the numbers."""

import json
import platform
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from experiments import benchmark, contestants, loader_benchmark
from experiments.benchmark import BenchmarkConfig
from iemf.data.audio import to_float
from iemf.data.clips import Clips, View
from iemf.errors import UserError
from iemf_snn import LIFNode
from tests.conftest import ROOT

JOB = {"what": "lif", "device": "cpu", "dtype": "float32", "shape": [4, 2, 3, 5, 5]}


@pytest.mark.parametrize("name", ["numba", "torch", "spikingjelly"])
def test_contestants_of_the_same_equation_give_the_same_spikes(name):
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(contestants.multi_step(name, x)(x), LIFNode()(x))


def test_snntorch_computes_the_same_neuron():
    pytest.importorskip("snntorch")
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(contestants.multi_step("snntorch", x)(x), LIFNode()(x))


def test_norse_computes_the_same_neuron_with_a_decayed_input():
    pytest.importorskip("norse")
    x = torch.randn(4, 2, 3, 5, 5)
    assert torch.equal(contestants.multi_step("norse", x)(2 * x), LIFNode()(x))


def test_peak_memory_is_what_the_tensors_hold():
    def run():
        a = torch.empty(1000)
        b = torch.empty(500)
        del a, b
        torch.empty(1200)

    assert contestants.peak_bytes(run, torch.device("cpu")) == pytest.approx(6000, abs=200)


def test_the_table_follows_from_the_seconds():
    def result(seconds, megabytes):
        return {"version": "x 1", "threads": 2, "torch": "2", "peak_bytes": megabytes * 2**20, "seconds": seconds}

    config = BenchmarkConfig("lif", repeats=1, device="cpu", shape=(4, 1, 1, 1, 250_000))
    results = {
        "spikingjelly": result([0.030, 0.010, 0.020], 8),
        "numba": result([0.004, 0.005, 0.006], 3),
        "copy": result([0.001, 0.001, 0.001], 0),
    }
    table = benchmark.markdown(config, results)
    assert "| numba | x 1 | 5.0 ms | 4.0 – 6.0 | 4.00 | 50 % | 3 MiB |" in table
    assert "A copy moves 8.0 GB/s" in table  # 2 · 4 bytes · 10^6 in a millisecond
    step = BenchmarkConfig("step", repeats=1, device="cpu")
    results = {"spikingjelly": result([2.0], 8), "numba": result([1.0], 4), "ann": result([0.5], 1)}
    results["numba"]["iemf_seconds"] = [0.01]
    table = benchmark.markdown(step, results)
    assert "| numba | x 1 | 1000.0 ms | 1000.0 – 1000.0 | 2.00 | 2.00 | 4 MiB |" in table
    assert "is 1.00 % of our step" in table


def test_the_whole_way(tmp_path, capsys, monkeypatch):
    """Processes start, take turns and end; the files hold every repetition."""
    monkeypatch.setattr(benchmark, "contestants", lambda config: ["spikingjelly", "numba", "copy"])
    benchmark.main(BenchmarkConfig("lif", repeats=2, device="cpu", threads=1, shape=(4, 1, 2, 5, 5), out=tmp_path))
    results = json.loads((tmp_path / "lif.json").read_text())
    assert [len(result["seconds"]) for result in results.values()] == [10, 10, 10]
    assert results["numba"]["threads"] == 1
    assert (tmp_path / "lif.md").read_text() in capsys.readouterr().out
    assert re.search(r"^\| numba \| iemf [\d.]+ \|", (tmp_path / "lif.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["ann", "numba", "spikingjelly"])
def test_a_step_trains(name):
    job = {"what": "step", "batch_size": 2, "image_size": 32, "width": 2, "time_steps": 2}
    answer = contestants.timed(contestants.step(name, job, torch.device("cpu")), torch.device("cpu"))
    assert 0 < answer["iemf_seconds"] < answer["seconds"]


@pytest.mark.parametrize(
    ("options", "message"), [({"repeats": 0}, "repeats"), ({"old_spikingjelly": "nowhere"}, "nowhere")]
)
def test_what_cannot_be_timed_is_refused(tmp_path, options, message):
    if "old_spikingjelly" in options:
        options = {"old_spikingjelly": tmp_path / "nowhere"}
    with pytest.raises(UserError, match=message):
        benchmark.main(BenchmarkConfig("lif", **options))


def test_the_loaders_table_follows_from_the_rates():
    record = {"kind": "films", "frames": 3, "bytes_raw": 200_000, "bytes_prepared": 150_400, "prepare": 7.4,
              "raw": [10.0, 30.0, 20.0], "prepared": [400.0, 500.0, 300.0]}  # fmt: skip
    row = loader_benchmark.markdown([record]).splitlines()[2]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "films", "3", "20.0", "400 (300 – 500)", "20", "200 kB → 150 kB", "7"]  # fmt: skip


def test_the_loaders_contestants_read_the_same_clips(tmp_path, monkeypatch):
    kind = replace(loader_benchmark.KINDS[0], seconds=0.5, size=(64, 48))
    raw, prepared, about = loader_benchmark.sources(kind, 2, tmp_path)
    slow, fast = (Clips(source, [0, 1], View(2, 32, 0.5), False) for source in (raw, prepared))
    assert (slow[1].audio - to_float(fast[1].audio)).abs().max() < 1 / 32767
    assert (slow[1].visual.float() - fast[1].visual.float()).abs().mean() < 12
    assert about["bytes_prepared"] > 0
    monkeypatch.setattr(loader_benchmark, "KINDS", (kind,))
    monkeypatch.setattr(loader_benchmark, "FRAMES", (1,))
    benchmark.main(BenchmarkConfig("loader", repeats=1, out=tmp_path / "out"))
    assert json.loads((tmp_path / "out" / "loader.json").read_text())[0]["frames"] == 1
    with pytest.raises(UserError, match="--width 32 is of no use"):
        benchmark.main(BenchmarkConfig("loader", width=32))


def test_a_contestant_that_fails_is_named():
    config = BenchmarkConfig("lif", device="cpu", dtype="float16", shape=(1, 1, 1, 1, 1))
    with pytest.raises(UserError, match=r"contestant 'numba' failed: .*float32 and bfloat16"):
        benchmark.Contestant("numba", config)


@pytest.mark.skipif("glibc" not in platform.libc_ver()[0], reason="glibc's malloc")
def test_keeping_freed_memory_is_accepted_by_the_c_library():
    code = "from experiments.allocator import keep_freed_memory; print(keep_freed_memory())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "True"


def test_a_fused_backend_is_left_out_where_it_does_not_know_the_dtype():
    names = benchmark.contestants(BenchmarkConfig("lif", device="cpu", dtype="float16"))
    assert "numba" not in names
    assert "torch" in names
    assert "numba" in benchmark.contestants(BenchmarkConfig("lif", device="cpu", dtype="bfloat16"))
