"""SIGKILL at any moment, the same command again, and a comparison with a run left alone, bit for bit.

A program runs in a process forked from this one, so that a trial is the program's work and not the import of PyTorch.
It is killed in one of two ways, in turn: by this process, at a moment drawn over the time that the undisturbed run
took; or by itself in the middle of a write, drawn over the undisturbed run's writes: half of the bytes are on the disk,
and the name has not changed hands. After each kill every file is read as a reader would. Each trial has one to three
kills, then the program runs to its end.
"""

import contextlib
import functools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from experiments.reliability.programs import PROGRAMS, Program, call, make_data, small
from experiments.sweep.table import table_lines
from iemf.data.preparation.shard import Shard
from iemf.errors import UserError
from iemf.tensors import load_tensors

KILLS = 3  # in one trial, at most
NOT_COMPARED = ("tensorboard", "unpacked")
MOMENT, WRITE = "at a moment", "amid a write"


def measure(trials: int, seed: int = 0) -> list[dict]:
    """One record a trial: the program, how it was killed and when, and what differs from the undisturbed run."""
    rng = random.Random(seed)
    records = []
    torch.set_num_threads(1)  # before forking, and as sums of floats depend on it
    with tempfile.TemporaryDirectory() as folder, small(), tqdm(total=trials, disable=None) as bar:
        data = Path(folder) / "data"
        # In a child too: what this process has not computed, no child inherits half done.
        if forked(lambda: make_data(data) or 0).wait() != 0:
            raise UserError("the data for the trials could not be made")
        whole = {program: undisturbed(program, data, Path(folder)) for program in PROGRAMS}
        with contextlib.suppress(KeyboardInterrupt):  # what has been tried until then is told
            for number in range(trials):
                program = PROGRAMS[number % len(PROGRAMS)]
                seconds, writes = whole[program]
                out = Path(folder) / f"trial{number}"
                records.append(trial(program, data, out, place_of(program, Path(folder)), seconds, writes, rng))
                bar.update()
    return records


class Child:
    """A forked process."""

    def __init__(self, pid: int) -> None:
        self.pid, self.code = pid, None

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, negative for a signal; None if it still runs after ``seconds``."""
        until = None if seconds is None else time.monotonic() + seconds
        while self.code is None:
            done, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if done:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                return None
            else:
                time.sleep(0.001)
        return self.code

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()


def forked(work) -> Child:
    """A process that does ``work`` and ends with the code that it returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return Child(pid)
    code = 70
    try:
        code = work()
    except BaseException as error:
        print(f"a trial's process: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def place_of(program: Program, folder: Path) -> Path:
    return folder / f"whole-{PROGRAMS.index(program)}"


def undisturbed(program: Program, data: Path, folder: Path) -> tuple[float, int]:
    """(seconds, whole-file writes) of a run that is left alone."""
    out, count = place_of(program, folder), folder / "count"

    def work() -> int:
        writes = on_write(lambda number, _: None)
        code = call(program, data, out)
        count.write_text(str(writes[0]))
        return code

    began = time.perf_counter()
    if (code := forked(work).wait()) != 0:
        raise UserError(f"{program.name} failed undisturbed, code {code}: {out.with_suffix('.stderr').read_text()}")
    return time.perf_counter() - began, int(count.read_text())


def on_write(act) -> list[int]:
    """Call ``act(number, descriptor)`` at every fsync, when a file is written and not yet renamed; their count."""
    writes, fsync = [0], os.fsync

    def counted(descriptor: int) -> None:
        writes[0] += 1
        act(writes[0], descriptor)
        fsync(descriptor)

    os.fsync = counted
    return writes


def trial(
    program: Program, data: Path, out: Path, whole: Path, seconds: float, writes: int, rng: random.Random
) -> dict:
    """Kill one to three times, then run to the end."""
    record = {"program": program.name, "task": program.task, "kills": [], "unreadable": [], "differs": []}
    for _ in range(rng.randint(1, KILLS)):
        way = rng.choice((MOMENT, WRITE))
        if way == MOMENT:
            after = rng.uniform(0, seconds)
            child = forked(lambda: call(program, data, out))
            if not (ended := child.wait(after) is not None):
                child.kill()
            told = f"after {after:.2f} s"
        else:
            number = rng.randint(1, writes)
            child = forked(functools.partial(killed_at, number, program, data, out))
            ended = child.wait() != -signal.SIGKILL
            told = f"in write {number} of {writes}"
        if ended:  # before the moment came: gone on with, little was left to do
            break
        record["kills"].append({"way": way, "when": told})
        record["unreadable"] += unreadable(out)
    if (code := forked(lambda: call(program, data, out)).wait()) != 0:
        record["differs"].append(f"ended with code {code}: {out.with_suffix('.stderr').read_text()}")
    else:
        record["differs"] = differences(whole, out)
    return record


def killed_at(number: int, program: Program, data: Path, out: Path) -> int:
    """Run, and die in the middle of a write."""
    on_write(functools.partial(die_in, number))
    return call(program, data, out)


def die_in(number: int, now: int, descriptor: int) -> None:
    """End this process in write ``number``, if ``now`` is it, with half of the bytes on the disk."""
    if now == number:
        if renamed(descriptor):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


def renamed(descriptor: int) -> bool:
    """Whether this is a file that gets its name when it is whole; rows of features are written in place."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.startswith(".")


def files(folder: Path) -> dict[str, Path]:
    """What a reader looks at: hidden files, TensorBoard's log, and rows whose journal is not done, aside."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items()
            if not any(part.startswith(".") or part in NOT_COMPARED for part in Path(name).parts)}  # fmt: skip


def read(path: Path) -> object:
    """A file's content, numbers of time left out; fails if it is half written."""
    if path.suffix == ".pt":
        return load_tensors(path)
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".jsonl":
        return [timeless(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".arrow":
        return Shard(path).batch.num_rows, path.read_bytes()
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    return path.read_bytes()


def timeless(content: object) -> object:
    """Without what says how long something took, and where it lies."""
    if isinstance(content, dict):
        return {
            key: timeless(value)
            for key, value in content.items()
            if not (isinstance(key, str) and (key.startswith("seconds") or key in ("out", "cache", "data_root")))
        }
    return [timeless(value) for value in content] if isinstance(content, list) else content


def unreadable(folder: Path) -> list[str]:
    """Files under their own name that cannot be read."""
    bad = []
    for name, path in files(folder).items() if folder.exists() else ():
        try:
            read(path)
        except Exception as error:  # whatever a reader says of half a file
            bad.append(f"{name}: {type(error).__name__}: {error}")
    return bad


def differences(one: Path, other: Path) -> list[str]:
    """Names of files that are in one folder alone, or differ in a number."""
    here, there = files(one), files(other)
    found = [f"{name} is in one alone" for name in sorted(here.keys() ^ there.keys())]
    return found + [name for name in here.keys() & there.keys() if not same(read(here[name]), read(there[name]))]


def same(one: object, other: object) -> bool:
    """Bit for bit, tensors and arrays included; records of time aside."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        one, other = ({k: v for k, v in each.items() if not str(k).startswith("seconds")} for each in (one, other))
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def lost(records: Sequence[dict]) -> list[str]:
    """A line for every trial that went wrong."""
    return [f"{r['program']} ({r['task']}): {(r['unreadable'] + r['differs'])[0]}"
            for r in records if r["unreadable"] or r["differs"]]  # fmt: skip


def markdown(records: Sequence[dict]) -> str:
    """A row a program, and what they come to."""
    rows = []
    for program in PROGRAMS:
        mine = [r for r in records if (r["program"], r["task"]) == (program.name, program.task)]
        ways = Counter(kill["way"] for r in mine for kill in r["kills"])
        rows.append([f"{program.task}: {program.name}", len(mine), ways[MOMENT], ways[WRITE],
                     sum(bool(r["unreadable"]) for r in mine), sum(bool(r["differs"]) for r in mine)])  # fmt: skip
    rows.append(["all", *(sum(row[i] for row in rows) for i in range(1, 6))])
    header = ["program", "trials", "kills at a moment", "kills amid a write", "half-written files", "other results"]
    return table_lines(header, [[str(cell) for cell in row] for row in rows]) + "\n"
