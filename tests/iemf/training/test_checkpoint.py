"""One file, whole or not at all, and of this run alone."""

import os
import random

import pytest
import torch

from iemf.errors import UserError
from iemf.training import checkpoint
from tests.faults import Harmful, Swelling, full_disk, packed
from tests.iemf.small import Toy, folder_of, toy_trainer

NO_PROCESS = 2**40  # numbers end below


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"epoch": 1})
    with pytest.raises(TypeError):
        checkpoint.save(path, {"epoch": (i for i in range(3))})  # cannot be pickled
    assert checkpoint.load(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_saved_comes_back(tmp_path):
    content = {"w": torch.arange(3), "history": [{"xi": None, "loss": 0.5}], "rank": (1.0, 2), "name": "é"}
    checkpoint.save(tmp_path / "x.pt", content)
    loaded = checkpoint.load(tmp_path / "x.pt")
    assert torch.equal(loaded.pop("w"), content.pop("w"))
    assert loaded == content


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(UserError, match=r"last\.pt is missing; train the run again or go on with `resume`"):
        checkpoint.load(tmp_path / "last.pt")


def test_a_damaged_checkpoint_is_named(tmp_path, accelerator):
    run = toy_trainer(tmp_path, Toy(), accelerator, epochs=1)
    run.fit()
    path = run.folder.last_checkpoint
    whole = path.read_bytes()
    for damaged in (whole[:1000], b"", b"\x80\x04\x95junk", bytes(range(256)) * 20, whole[:-500]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"last\.pt is not a readable checkpoint") as caught:
            toy_trainer(tmp_path, Toy(), accelerator).fit(resume=True)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(run="another"), r"last\.pt is of a run with other options or data; put the run's own"),
        (lambda c: c.update(processes=4), r"last\.pt is of a run with 4 process\(es\), this one has 1; resume with as"),
        (lambda c: c.pop("stage_name"), r"last\.pt was written by another version of this program; train the run anew"),
    ],
    ids=["another run", "other processes", "an old format"],
)
def test_a_checkpoint_that_is_not_this_runs_is_refused_in_one_line(tmp_path, accelerator, change, words):
    run = toy_trainer(tmp_path, Toy(), accelerator, epochs=1)
    run.fit()
    content = checkpoint.load(run.folder.last_checkpoint)
    change(content)
    checkpoint.save(run.folder.last_checkpoint, content)
    again = toy_trainer(tmp_path, Toy(), accelerator)
    before = {name: value.clone() for name, value in again.stage.module.state_dict().items()}
    with pytest.raises(UserError, match=words) as caught:
        again.fit(resume=True)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in again.stage.module.state_dict().items())


def test_another_config_makes_another_run(tmp_path, accelerator):
    """Whoever copies the checkpoint of another run into the folder is told."""
    first = toy_trainer(tmp_path / "a", Toy(), accelerator, epochs=1)
    first.fit()
    second = toy_trainer(tmp_path / "b", Toy(), accelerator)
    second.folder.start({"lr": 2.0})
    second.folder.last_checkpoint.write_bytes(first.folder.last_checkpoint.read_bytes())
    words = r"last\.pt is of a run with other options or data \(lr None there, 2\.0 here\); put the run's own"
    with pytest.raises(UserError, match=words):
        second.fit(resume=True)
    second.folder.start({"out": "elsewhere", "workers": 3})  # which change nothing of a run
    assert len(second.fit(resume=True)) == 4


# ---- the one before


def timeless(records):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: None], ids=["cut", "empty", "gone"]
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_ends_the_same(tmp_path, accelerator, damage, capsys):
    whole = toy_trainer(tmp_path / "whole", Toy(), accelerator)
    expected = whole.fit()
    toy_trainer(tmp_path / "part", Toy(), accelerator, epochs=3).fit()
    again = toy_trainer(tmp_path / "part", Toy(), accelerator)
    last = again.folder.last_checkpoint
    if (content := damage(last.read_bytes())) is None:
        last.unlink()
    else:
        last.write_bytes(content)
    assert timeless(again.fit(resume=True)) == timeless(expected)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.startswith("part: ")
    assert "going on from the one before, previous.pt" in told
    assert str(last) in told
    for name, value in whole.stage.module.state_dict().items():
        assert torch.equal(value, again.stage.module.state_dict()[name])
    assert again.stage.seen != []  # an epoch was trained anew


def test_a_whole_checkpoint_is_taken_without_a_word(tmp_path, accelerator, capsys):
    toy_trainer(tmp_path, Toy(), accelerator, epochs=3).fit()
    again = toy_trainer(tmp_path, Toy(), accelerator)
    again.fit(resume=True)
    assert capsys.readouterr().err == ""
    assert sum(again.stage.seen) == 10  # one epoch


def test_with_both_damaged_the_last_is_named(tmp_path, accelerator):
    run = toy_trainer(tmp_path, Toy(), accelerator, epochs=3)
    run.fit()
    for path in (run.folder.last_checkpoint, run.folder.previous_checkpoint):
        path.write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"not a readable checkpoint \(File is not a zip file\)"):
        toy_trainer(tmp_path, Toy(), accelerator).fit(resume=True)


@pytest.mark.parametrize("linked", [True, False], ids=["by a link", "by a copy"])
def test_the_one_before_is_the_one_before(tmp_path, monkeypatch, linked):
    def unknown(*_):
        raise OSError("no hard links here")

    if not linked:
        monkeypatch.setattr(os, "link", unknown)
    path, before = tmp_path / "last.pt", tmp_path / "previous.pt"
    for epoch in range(3):
        checkpoint.save(path, {"epoch": epoch}, before=before)
        assert checkpoint.load(path) == {"epoch": epoch}
        assert before.exists() == (epoch > 0)
    assert checkpoint.load(before) == {"epoch": 1}
    assert sorted(tmp_path.iterdir()) == [path, before]


# ---- full disks, damage, strangers


def test_a_full_disk_is_one_line_and_both_checkpoints_are_kept(tmp_path):
    path, before = tmp_path / "last.pt", tmp_path / "previous.pt"
    for epoch in range(2):
        checkpoint.save(path, {"epoch": epoch}, before=before)
    for content in ({"w": torch.zeros(100000)}, {"w": [torch.zeros(300) for _ in range(100)]}):
        with (
            full_disk(20000),
            pytest.raises(UserError, match=r"last\.pt cannot be written \(File too large\)") as caught,
        ):
            checkpoint.save(path, content, before=before)
        assert "\n" not in str(caught.value)
        assert [checkpoint.load(p)["epoch"] for p in (path, before)] == [1, 0]
        assert sorted(tmp_path.iterdir()) == [path, before]


def test_no_changed_bit_is_taken_for_a_weight(tmp_path):
    """torch.load reads 99 in 100 of such files as if nothing had happened."""
    path, content = tmp_path / "last.pt", {"w": torch.arange(5000.0), "epoch": 3}
    checkpoint.save(path, content)
    whole, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = checkpoint.load(path)
        except UserError:
            refused += 1
            continue
        assert torch.equal(found["w"], content["w"])
        assert found["epoch"] == 3
    assert refused > 140


def test_a_strangers_checkpoint_runs_nothing_and_swells_to_nothing(tmp_path):
    harm = tmp_path / "harm"
    torch.save({"w": Harmful(harm)}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"a\.pt is not a readable checkpoint \(it calls for (posix|nt)\.mkdir\)"):
        checkpoint.load(tmp_path / "a.pt")
    assert not harm.exists()
    torch.save({"w": Swelling()}, tmp_path / "b.pt")
    with pytest.raises(UserError, match=r"b\.pt .*calls for (__builtin__|builtins)\.bytearray"):
        checkpoint.load(tmp_path / "b.pt")
    torch.save({"w": torch.zeros(10**6)}, tmp_path / "c.pt")
    packed(tmp_path / "c.pt", tmp_path / "d.pt")
    with pytest.raises(UserError, match=r"d\.pt .*it is packed"):
        checkpoint.load(tmp_path / "d.pt")
    torch.save([1], tmp_path / "e.pt")
    with pytest.raises(UserError, match=r"e\.pt .*it holds no dict"):
        checkpoint.load(tmp_path / "e.pt")


def test_a_forged_checkpoint_that_does_not_fit_is_one_line(tmp_path, accelerator):
    run = toy_trainer(tmp_path, Toy(), accelerator, epochs=1)
    run.fit()
    content = checkpoint.load(run.folder.last_checkpoint)
    for change in ({"network": {}}, {"optimizer": 3}, {"stage": {}}):
        checkpoint.save(run.folder.last_checkpoint, content | change)
        again = toy_trainer(tmp_path, Toy(), accelerator)
        with pytest.raises(UserError, match=r"last\.pt does not fit this run") as caught:
            again.fit(resume=True)
        assert "\n" not in str(caught.value)


def test_what_a_killed_program_was_writing_is_removed(tmp_path):
    folder = folder_of(tmp_path)
    (folder.checkpoints / f".last.pt.{NO_PROCESS}").write_bytes(b"half")
    (folder.path / f".metrics.jsonl.{NO_PROCESS}").write_bytes(b"half")
    (folder.path / ".notes.2024").write_text("the user's own")
    folder_of(tmp_path)
    assert {p.name for p in folder.path.iterdir()} == {"config.json", "checkpoints", ".notes.2024"}
    assert not list(folder.checkpoints.iterdir())
