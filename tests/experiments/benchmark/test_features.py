"""The benchmark of reading features, and that memory does not grow with the clips."""

from experiments.benchmark import features
from experiments.benchmark.features import peak


def test_memory_does_not_grow_with_the_number_of_clips():
    """Sparse files of 200 and 2,000 clips, narrower than VideoMAE's: 30 and 301 MB."""
    small, large = (peak(clips, (8, 196, 48)) for clips in (200, 2000))
    assert large - small < 60, (small, large)  # MiB


def test_the_table_follows_from_the_rates(monkeypatch):
    results = {
        "rates": {"reading": [100.0, 300.0, 200.0], "step": [20.0, 10.0, 30.0], "both": [19.0, 18.0, 20.0]},
        "memory": {200: 700.4, 2000: 720.6},
        "device": "cpu", "batch": 8, "threads": 2,
    }  # fmt: skip
    table = features.markdown(results)
    assert "| reading alone                  | 200.0   | 100.0 – 300.0 | 482" in table
    assert "changes the step's rate by -5.0 %" in table
    assert "200 clips (0.5 GB) holds 700 MiB at most, on 2000 (4.8 GB) 721 MiB" in table
