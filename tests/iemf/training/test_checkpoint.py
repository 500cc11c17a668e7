"""One file, whole or not at all, and of this run alone."""

import pytest
import torch

from iemf.errors import UserError
from iemf.training import checkpoint
from tests.iemf.small import Toy, toy_trainer


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
    with pytest.raises(UserError, match="other options or data"):
        second.fit(resume=True)
    second.folder.start({"out": "elsewhere", "workers": 3})  # which change nothing of a run
    assert len(second.fit(resume=True)) == 4
