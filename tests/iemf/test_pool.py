"""The pool: results as they come, what errors become, and a worker that is killed. Its processes take seconds each."""

import os
import signal
import time
from pathlib import Path

import pytest
import torch

from iemf.errors import UserError
from iemf.pool import in_processes


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.02)


def job(what):
    """What a worker does, by name: ("wait", file), ("user",), ("bug",), ("kill",) or ("number", n)."""
    kind, *rest = what
    if kind == "wait":
        wait_for(rest[0])
    elif kind == "user":
        raise UserError("no such thing")
    elif kind == "bug":
        raise ZeroDivisionError("a bug")
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return torch.get_num_threads(), os.getpid(), rest[-1] if rest else None


def test_results_come_as_they_are_ready_and_user_errors_are_handed_back(tmp_path):
    """The first job ends only once the second's result has come."""
    slow, user = ("wait", str(tmp_path / "go")), ("user",)
    jobs = [slow, ("number", 1), user, ("number", 2)]
    done, polls = [], 0
    for each in in_processes(job, jobs, 2, threads=1, polls=True):
        if each is None:
            polls += 1
            continue
        done.append(each)
        if len(done) == 3:
            Path(slow[1]).touch()
    assert [each.job for each in done][-1] == slow
    assert {each.job for each in done} == set(jobs)
    by_job = {each.job: each for each in done}
    assert by_job[user].result is None
    assert isinstance(by_job[user].error, UserError)
    assert str(by_job[user].error) == "no such thing"
    for number in (1, 2):
        threads, process, value = by_job["number", number].result
        assert (threads, value) == (1, number)
        assert process != os.getpid()
        assert by_job["number", number].error is None
    assert polls > 0


def test_other_errors_are_raised():
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(in_processes(job, [("bug",)], 1))


def test_a_killed_worker_is_named():
    with pytest.raises(UserError, match=r"the run of seed 3 was killed \(out of memory\?\); run the same command") as e:
        list(in_processes(job, [("kill",)], 1, what="the run of seed 3"))
    assert "\n" not in str(e.value)


def test_no_jobs_need_no_process():
    assert list(in_processes(job, [], 4)) == []
