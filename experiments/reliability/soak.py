"""Long load: runs, sweeps and loaders begun again and again in one process, and what it holds after each turn.

A turn is a training run, a sweep of three runs, and a loader with worker processes that is begun and let go of. The
first turns fill caches; growth is counted from the turn after :data:`WARM` on.
"""

import gc
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from experiments.reliability.programs import PROGRAMS, call, small
from experiments.sweep.table import table_lines
from iemf.errors import UserError

WARM = 3  # turns
MEMORY_A_TURN = 1.0  # MiB: more is a leak
PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20


def held() -> dict[str, float]:
    """What the process holds now: memory in MiB, file handles, threads, child processes."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {"memory": resident, "handles": len(os.listdir("/proc/self/fd")), "threads": threading.active_count(),
            "children": len(children)}  # fmt: skip


def turn(folder: Path) -> int:
    """The work of one turn; how many runs were trained."""
    runs = 0
    for program in PROGRAMS[0], PROGRAMS[2]:
        if (code := call(program, folder, folder / program.program)) != 0:
            raise UserError(f"{program.name} failed, code {code}")
        runs += 1 if program.program == "classification" else 3
    data = TensorDataset(torch.arange(64.0))
    for _ in DataLoader(data, 8, num_workers=2):
        pass
    return runs


def measure(minutes: float) -> list[dict]:
    """One record a turn: what is held after it, and how many runs it trained."""
    torch.set_num_threads(1)
    until, records = time.monotonic() + 60 * minutes, []
    with small():
        while len(records) <= WARM + 1 or time.monotonic() < until:
            with tempfile.TemporaryDirectory() as folder:
                runs = turn(Path(folder))
            records.append({"runs": runs, **held()})
    return records


def growth(records: Sequence[dict], what: str) -> float:
    """A turn, after the first :data:`WARM`: the slope of a line through them."""
    values = torch.tensor([float(record[what]) for record in records[WARM:]], dtype=torch.float64)
    turns = torch.arange(len(values), dtype=torch.float64)
    turns = turns - turns.mean()
    return float((turns * values).sum() / (turns**2).sum())


def lost(records: Sequence[dict]) -> list[str]:
    """What grows."""
    first, last = records[WARM], records[-1]
    found = [f"{what} went from {first[what]:g} to {last[what]:g}" for what in ("handles", "threads", "children")
             if last[what] > first[what]]  # fmt: skip
    if (rate := growth(records, "memory")) > MEMORY_A_TURN:
        found.append(f"memory grows by {rate:.2f} MiB a turn")
    return found


def markdown(records: Sequence[dict]) -> str:
    """A row for what is held, after the warm turns and at the end."""
    rows = [[label, *(f"{records[place][what]:.0f}" for place in (WARM, -1)), f"{growth(records, what):+.2f}"]
            for what, label in (("memory", "resident memory, MiB"), ("handles", "file handles"), ("threads", "threads"),
                                ("children", "child processes"))]  # fmt: skip
    header = ["", f"after turn {WARM + 1}", f"after turn {len(records)}", "a turn"]
    runs = sum(record["runs"] for record in records)
    return (
        f"{table_lines(header, rows)}\n\n{len(records)} turns: {runs} runs and {len(records)} loaders in one process.\n"
    )
