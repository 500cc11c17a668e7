"""The table of lif and step."""

from experiments.benchmark import report
from experiments.benchmark.options import BenchmarkConfig


def test_the_table_follows_from_the_seconds():
    def result(seconds, megabytes):
        return {"version": "x 1", "threads": 2, "torch": "2", "peak_bytes": megabytes * 2**20, "seconds": seconds,
                "first_seconds": 1.5}  # fmt: skip

    config = BenchmarkConfig("lif", repeats=1, device="cpu", shape=(4, 1, 1, 1, 250_000))
    results = {
        "spikingjelly": result([0.030, 0.010, 0.020], 8),
        "numba": result([0.004, 0.005, 0.006], 3),
        "copy": result([0.001, 0.001, 0.001], 0),
    }
    table = report.markdown(config, results)
    assert "| numba | x 1 | 5.0 ms | 4.0 – 6.0 | 4.00 | 50 % | 3 MiB | 1.5 s |" in table
    assert "A copy moves 8.0 GB/s" in table  # 2 · 4 bytes · 10^6 in a millisecond
    step = BenchmarkConfig("step", repeats=1, device="cpu")
    results = {"spikingjelly": result([2.0], 8), "numba": result([1.0], 4), "ann": result([0.5], 1)}
    results["numba"]["iemf_seconds"] = [0.01]
    table = report.markdown(step, results)
    assert "| numba | x 1 | 1000.0 ms | 1000.0 – 1000.0 | 2.00 | 2.00 | 4 MiB | 1.5 s |" in table
    assert "is 1.00 % of our step" in table
