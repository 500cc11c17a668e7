"""The trials themselves: what they would call lost, and short ones of them."""

import functools
import json
import re

import numpy as np
import pytest
import torch

from experiments.reliability import fuzz, kills, soak
from experiments.reliability.options import ReliabilityConfig, check
from iemf.errors import UserError
from iemf.files import write_atomically


@pytest.mark.parametrize("reader", fuzz.READERS, ids=lambda reader: reader.name)
def test_a_spoilt_file_is_read_or_refused_in_one_line(reader):
    """Some of what ``iemf reliability fuzz`` does for hours."""
    record = fuzz.fuzz(reader, 15, seed=0)
    assert record["fault"] is None
    assert record["files"] == record["read"] + record["refused"] >= 10


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda path: json.loads(path.read_bytes()), "Error"),
        (lambda path: path.read_bytes().startswith(b"{") or bytearray(2**28).find(1), "it took .* GiB"),
    ],
    ids=["another error", "memory"],
)
def test_a_reader_that_lets_something_through_is_found(monkeypatch, read, words):
    monkeypatch.setattr(fuzz, "MEMORY", 2**16)
    record = fuzz.fuzz(fuzz.Reader("careless", ".json", read, lambda: b'{"a": [1, 2, 3]}'), 60, seed=0)
    assert record["fault"] is not None
    assert len(fuzz.lost([record])) == 1
    assert "1 or more" in fuzz.markdown([record])
    assert re.search(words, record["fault"])


def write(folder, weight=1.0, loss=0.5, seconds=3.0):
    folder.mkdir()
    torch.save({"w": torch.tensor([weight]), "history": [{"loss": loss, "seconds": seconds}]}, folder / "last.pt")
    (folder / "results.json").write_text(json.dumps({"loss": loss, "seconds_this_session": seconds}))
    (folder / "metrics.jsonl").write_text(json.dumps({"loss": loss, "seconds": seconds}) + "\n")
    np.save(folder / "x.npy", np.array([weight]))
    (folder / ".last.pt.17").write_bytes(b"half")


def test_runs_are_alike_bit_for_bit_but_for_their_times(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", seconds=9.0)
    assert kills.differences(tmp_path / "a", tmp_path / "b") == []
    write(tmp_path / "c", weight=1.0 + 2**-23)
    assert sorted(kills.differences(tmp_path / "a", tmp_path / "c")) == ["last.pt", "x.npy"]
    write(tmp_path / "d", loss=0.25)
    (tmp_path / "d" / "table.md").write_text("")
    found = kills.differences(tmp_path / "a", tmp_path / "d")
    assert set(found) == {"table.md is in one alone", "last.pt", "results.json", "metrics.jsonl"}


def test_half_a_file_under_its_name_is_noticed(tmp_path):
    write(tmp_path / "a")
    assert kills.unreadable(tmp_path / "a") == []
    assert kills.unreadable(tmp_path / "not there yet") == []
    for name in ("last.pt", "results.json", "metrics.jsonl", "x.npy"):
        path = tmp_path / "a" / name
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        (told,) = kills.unreadable(tmp_path / "a")
        assert told.startswith(f"{name}: ")
        path.write_bytes(content)


def test_a_kill_amid_a_write_leaves_half_of_it_without_its_name(tmp_path):
    def work():
        kills.on_write(functools.partial(kills.die_in, 2))
        for content in ("first", "second", "third"):
            write_atomically(tmp_path / "x", content)
        return 0

    child = kills.forked(work)
    assert child.wait() == -9
    assert (tmp_path / "x").read_text() == "first"
    assert [p.read_text() for p in tmp_path.glob(".x.*")] == ["sec"]


def test_what_is_lost_is_counted():
    record = {"program": kills.PROGRAMS[0].name, "task": kills.PROGRAMS[0].task, "unreadable": [], "differs": [],
              "kills": [{"way": kills.MOMENT, "when": ""}, {"way": kills.WRITE, "when": ""}]}  # fmt: skip
    assert kills.lost([record]) == []
    assert len(kills.lost([record, record | {"differs": ["last.pt"]}, record | {"unreadable": ["x"]}])) == 2
    last = kills.markdown([record, record | {"differs": ["last.pt"]}]).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == ["all", "2", "2", "2", "0", "1"]


def test_what_grows_is_told():
    def records(**slopes):
        steady = {"runs": 4, "memory": 500.0, "handles": 9, "threads": 3, "children": 0}
        return [{name: value + slopes.get(name, 0) * turn for name, value in steady.items()} for turn in range(8)]

    assert soak.lost(records()) == []
    assert soak.lost(records(memory=0.5)) == []
    assert soak.lost(records(memory=2.0)) == ["memory grows by 2.00 MiB a turn"]
    assert soak.lost(records(handles=1)) == ["handles went from 12 to 16"]
    assert "8 turns: 32 runs and 8 loaders" in soak.markdown(records())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"what": "kills", "minutes": 3.0}, "`minutes` 3.0 is of no use to kills"),
        ({"what": "fuzz", "trials": 3}, "`trials` 3 is of no use to fuzz"),
        ({"what": "soak", "minutes": 0.0}, "`minutes` 0.0 must be above 0"),
    ],
)
def test_options_without_effect_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        check(ReliabilityConfig(**options))
