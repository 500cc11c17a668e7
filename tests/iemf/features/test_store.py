"""Features on disk: rows in place, kills, other plans, full disks."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from iemf.errors import UserError
from iemf.features.store import DONE, FAULTY, WAITING, FeatureStore, claim

IDS = ["a", "b", "c", "d"]
SHAPES = {"audio": (3,), "visual": (2, 2, 5)}


def features(rows):
    rng = np.random.default_rng(0)
    values = {kind: rng.normal(size=(len(IDS), *shape)).astype(np.float32) for kind, shape in SHAPES.items()}
    return {kind: value[rows] for kind, value in values.items()}


def store(path, **plan):
    return FeatureStore(path, {"ids": IDS, "encoders": "x"} | plan, SHAPES)


def test_rows_lie_where_numpy_finds_them(tmp_path):
    kept = store(tmp_path)
    kept.write([2, 0], features([2, 0]))
    kept.write([1], features([1]))
    assert kept.todo() == [3]
    with pytest.raises(ValueError, match="1 rows are not written"):
        kept.finish({})
    kept.mark([3], FAULTY)
    kept.finish({"missing": ["d"]})
    for kind, expected in features([0, 1, 2]).items():
        found = np.load(tmp_path / f"{kind}.npy")
        assert found.dtype == np.float16
        assert np.array_equal(found[:3], expected.astype(np.float16))
    assert json.loads((tmp_path / "index.json").read_text()) == {"format": 1, "missing": ["d"]}
    assert store(tmp_path).state.tolist() == [DONE, DONE, DONE, FAULTY]
    assert store(tmp_path).finished


def test_gone_on_with_the_files_are_those_of_an_undisturbed_run(tmp_path):
    whole = store(tmp_path / "whole")
    whole.write([0, 1, 2, 3], features([0, 1, 2, 3]))
    first = store(tmp_path / "part")
    first.write([0, 1], features([0, 1]))
    assert store(tmp_path / "part").state.tolist() == [DONE, DONE, WAITING, WAITING]
    second = store(tmp_path / "part")
    second.write([2, 3], features([2, 3]))
    for name in ("audio.npy", "visual.npy", "journal.bin", "extraction.json"):
        assert (tmp_path / "part" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_holes_take_no_space(tmp_path):
    FeatureStore(tmp_path / "x", {"ids": list(map(str, range(1000)))}, {"visual": (8, 196, 768)})
    state = (tmp_path / "x" / "visual.npy").stat()
    assert state.st_size > 2.4e9
    assert state.st_blocks * 512 < 1e6


def test_features_of_another_plan_are_not_mixed_in(tmp_path):
    store(tmp_path / "x")
    with pytest.raises(UserError, match=r"holds features of other encoders \(x then, y now\)"):
        store(tmp_path / "x", encoders="y")
    with pytest.raises(UserError, match="holds features of other ids; name another"):
        store(tmp_path / "x", ids=["a"])
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "file").touch()
    with pytest.raises(UserError, match="holds files that are not an extraction's"):
        store(tmp_path / "y")


def test_numbers_beyond_float16_are_told(tmp_path):
    values = features([0, 1])
    values["visual"][1, 0, 0, 0] = 1e6
    with pytest.raises(UserError, match=r"visual\.npy: row 1 has numbers that float16 does not hold"):
        store(tmp_path).write([0, 1], values)
    assert store(tmp_path).todo() == [0, 1, 2, 3]


def test_a_disk_too_small_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5})())
    with pytest.raises(UserError, match=r"the features need 0\.0 GB, 0\.0 GB are free"):
        store(tmp_path / "x")
    claim(tmp_path / "y", {})
    assert not list((tmp_path / "x").iterdir())


def test_a_full_disk_is_one_line_and_rows_before_are_kept(tmp_path):
    """Under a limit on a file's size, in a process of its own."""
    code = f"""
import resource, signal, numpy as np
from tests.iemf.features.test_store import features, store
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kept = store(Path({str(tmp_path)!r}))
kept.write([0], features([0]))
resource.setrlimit(resource.RLIMIT_FSIZE, (180, 180))
kept.write([1, 2, 3], features([1, 2, 3]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "make room and run the same command again" in done.stderr.splitlines()[-1]
    assert store(tmp_path).state.tolist() == [DONE, WAITING, WAITING, WAITING]
