"""The folder of a run: what it holds, and what is refused."""

import json

import pytest

from iemf.errors import UserError
from iemf.training import RunFolder
from iemf.training.record import differing_fields


def test_a_folder_begins_with_its_config_and_a_place_for_checkpoints(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    folder.check({"lr": 1}, resume=False)
    assert not (tmp_path / "a").exists()
    folder.start({"lr": 1})
    assert {path.name for path in folder.path.iterdir()} == {"config.json", "checkpoints"}
    assert folder.read_config() == {"lr": 1}
    assert folder.results() is None
    assert folder.metrics() == []


def test_metrics_are_replaced_whole(tmp_path):
    folder = RunFolder(tmp_path)
    folder.start({})
    folder.write_metrics([{"epoch": 0}, {"epoch": 1}])
    folder.write_metrics([{"epoch": 0, "xi": None}])
    assert folder.metrics() == [{"epoch": 0, "xi": None}]
    assert json.loads(folder.metrics_file.read_text()) == {"epoch": 0, "xi": None}


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"lr": 1, "out": "b", "workers": 7, "resume": True, "gamma": None}, None),  # what may change, or is not set
        ({"lr": 2, "out": "a"}, "lr"),
        ({"lr": 1, "gamma": 2}, "gamma"),
    ],
)
def test_configs_differ_in_what_changes_a_result(wanted, field):
    stored = {"lr": 1, "out": "a"}
    assert differing_fields(stored, wanted) == ([] if field is None else [field])
    identities = []
    for config in (stored, wanted):
        folder = RunFolder("x")
        folder.identify(config)
        identities.append(folder.identity)
    assert (identities[0] == identities[1]) == (field is None)


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    def refused(path, words, config=None, resume=True):
        with pytest.raises(UserError, match=words) as caught:
            RunFolder(path).check(config or {"lr": 1}, resume)
        assert "\n" not in str(caught.value)

    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "`out` .*file is a file; name a folder")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    refused(tmp_path / "full", "`out` .*full holds files that are not a run's; name a new folder")
    run = RunFolder(tmp_path / "run")
    run.start({"lr": 1})
    refused(run.path, "holds an unfinished run; add `resume` to go on with it", resume=False)
    run.results_file.write_text("{}")
    refused(run.path, "holds a finished run; add `resume`", resume=False)
    refused(run.path, r"config\.json has lr=1, this run 2; resume with the same options or name a new", {"lr": 2})
    RunFolder(run.path).check({"lr": 1}, resume=True)
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty").check({"lr": 1}, resume=False)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"`out` .*run cannot be written \(Not a directory\); name another folder"):
        RunFolder(tmp_path / "file" / "run").start({})
