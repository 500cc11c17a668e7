"""Damaged and made-up files for every reader of other people's files.

Hypothesis draws how a good file is spoilt: bytes changed, cut out, doubled, put in, numbers of headers set to their
ends; or bytes made up from nothing. A reader may give what it read or raise UserError, one line that names the file;
anything else is a fault, and so is a reading of more than ten seconds, a GiB more of memory, or a file written outside
of the folder that it was given.
"""

import contextlib
import io
import json
import pickle
import resource
import tarfile
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile
import torch
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, NoSuchExample
from PIL import Image

from experiments.sweep.table import table_lines
from iemf.avqa.questions import read_questions
from iemf.continual import pickled
from iemf.continual.benchmarks import hdf5_extents
from iemf.continual.rows import npy_rows
from iemf.data import audio, image, video
from iemf.data.preparation import archive
from iemf.data.preparation.listing import read_list
from iemf.data.preparation.shard import Row, Shard, write
from iemf.errors import UserError
from iemf.files import read_json
from iemf.training import checkpoint

SECONDS, MEMORY = 10.0, 2**20  # of one reading, at most: seconds, kB
ROUND = 40  # files a reader and turn


class Reader(NamedTuple):
    """A reader, the ending of its files, and a good one's bytes."""

    name: str
    suffix: str
    read: Callable[[Path], object]
    good: Callable[[], bytes]


def made(suffix: str, make: Callable[[Path], object]) -> Callable[[], bytes]:
    """The bytes of a file that a library writes."""

    def content() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            make(path := Path(folder) / f"x{suffix}")
            return path.read_bytes()

    return content


def film(path: Path) -> None:
    with av.open(str(path), "w") as container:
        seen, heard = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=16000, layout="mono")
        seen.width, seen.height, seen.pix_fmt = 32, 32, "yuv420p"
        for level in range(5):
            pixels = np.full((32, 32, 3), 40 * level, np.uint8)
            container.mux(seen.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(seen.encode())
        wave = av.AudioFrame.from_ndarray(np.sin(np.arange(8000, dtype=np.float32))[None], "fltp", "mono")
        wave.sample_rate, wave.pts = 16000, 0
        container.mux(heard.encode(wave))
        container.mux(heard.encode())


def sound(path: Path) -> None:
    soundfile.write(path, np.sin(np.arange(4000) / 9).astype(np.float32), 16000)


def picture(path: Path) -> None:
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"a/{number}.txt", "x" * 100)


def tarred(path: Path) -> None:
    with tarfile.open(path, "w:gz") as file:
        for number in range(3):
            member = tarfile.TarInfo(f"a/{number}.txt")
            member.size = 100
            file.addfile(member, io.BytesIO(b"x" * 100))


def hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=np.zeros((8, 4), np.float32))


def questions() -> bytes:
    item = {"video_id": "1", "question_id": 1, "type": '["Visual", "Counting"]', "templ_values": '["violin"]',
            "question_content": "How many <Object> in the video?", "anser": "one"}  # fmt: skip
    return json.dumps([item, item | {"question_id": 2}]).encode()


def unpacked(path: Path) -> None:
    """Into a folder of its own; nothing else may change."""
    before = set(path.parent.rglob("*"))
    with contextlib.ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=path.parent)))
        archive.unpack(path, out / "out", progress=False)
    if others := set(path.parent.rglob("*")) - before:
        raise AssertionError(f"it wrote {others}")


def shard(path: Path) -> None:
    opened = Shard(path)
    for row in range(opened.batch.num_rows):
        opened.read(row, lambda count: range(min(count, 2)), 100)


DICT = {"train": {0: ["a", "b"]}, "n": np.int64(3), "w": np.arange(4.0)}
READERS = (
    Reader("unpickler", ".npy", pickled.load, made(".npy", lambda path: np.save(path, DICT))),
    Reader("unpickler, arrays in place", ".npy", pickled.extents, made(".npy", lambda path: np.save(path, DICT))),
    Reader("rows of features", ".npy", lambda path: npy_rows(path, [0, 2])[[0, 1]],
           made(".npy", lambda path: np.save(path, np.zeros((3, 5), np.float32)))),
    Reader("features in HDF5", ".h5", hdf5_extents, made(".h5", hdf5)),
    Reader("checkpoint", ".pt", checkpoint.load,
           made(".pt", lambda path: torch.save({"w": torch.arange(9.0), "history": [{"loss": 1.0}]}, path))),
    Reader("JSON of a run", ".json", read_json, lambda: json.dumps({"lr": 0.1, "seeds": [0, 1]}).encode()),
    Reader("list file", ".csv", lambda path: list(read_list(path, 2)), lambda: b'a,b\n"c, d",e\n'),
    Reader("questions", ".json", read_questions, questions),
    Reader("zip archive", ".zip", unpacked, made(".zip", zipped)),
    Reader("tar archive", ".tar.gz", unpacked, made(".tar.gz", tarred)),
    Reader("shard", ".arrow", shard,
           made(".arrow", lambda path: write(path, [Row("a", 0, bytes(8), [made(".jpg", picture)()])], {}))),
    *(Reader(f"sound, {suffix}", suffix, lambda path: audio.read(path, seconds=1.0), made(suffix, sound))
      for suffix in (".wav", ".flac", ".ogg", ".mp3")),
    *(Reader(f"picture, {suffix}", suffix, image.read, made(suffix, picture)) for suffix in (".jpg", ".png", ".gif")),
    *(Reader(f"film, {suffix}", suffix, lambda path: (video.frames(path, lambda count: [0, count - 1], 16),
                                                      audio.read(path, seconds=1.0)), made(suffix, film))
      for suffix in (".mp4", ".avi", ".mkv")),
)  # fmt: skip

EXTREMES = (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\0\0\0\x80", b"\xff" * 8)
PICKLES = tuple(bytes([code]) for code in pickle._Unpickler.dispatch)


@st.composite
def spoilt(draw: st.DrawFn, good: bytes) -> bytes:
    """A good file with one to four faults, or something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        # Headers lie at the beginning and the end; most faults are put there.
        end = len(content)
        near = draw(st.sampled_from([min(end, 64), min(end, 256), end]))
        place = draw(st.integers(0, max(0, near - 1)))
        place = end - 1 - place if draw(st.booleans()) and end else place
        kind = draw(st.sampled_from(["byte", "extreme", "cut", "end", "twice", "in"]))
        if kind == "byte":
            content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == "extreme":
            value = draw(st.sampled_from(EXTREMES))
            content[place : place + len(value)] = value
        elif kind == "cut":
            del content[place : place + draw(st.integers(1, 64))]
        elif kind == "end":
            del content[place:]
        elif kind == "twice":
            piece = content[place : place + draw(st.integers(1, 64))]
            content[place:place] = piece * draw(st.integers(1, 8))
        else:
            content[place:place] = draw(st.binary(max_size=16) | st.sampled_from(PICKLES))
    return bytes(content)


class Told(NamedTuple):
    """What became of one file."""

    outcome: str  # "read", "refused", or what is wrong
    seconds: float
    memory: int  # kB more than ever before


def attempt(reader: Reader, content: bytes, folder: Path) -> Told:
    """Read one file."""
    path = folder / f"x{reader.suffix}"
    path.write_bytes(content)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            reader.read(path)
        outcome = "read"
    except UserError as error:
        outcome = "refused" if path.name in str(error) else f"it does not name the file: {error}"
        outcome = outcome if "\n" not in str(error) else f"more than one line: {error!r}"
    except Exception as error:  # whatever it is, it is a fault
        outcome = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    if seconds > SECONDS:
        outcome = f"it took {seconds:.1f} s"
    if memory > MEMORY:
        outcome = f"it took {memory / 2**20:.1f} GiB"
    return Told(outcome, seconds, memory)


def fuzz(reader: Reader, examples: int, seed: int) -> dict:
    """{files, read, refused, the longest reading, the most memory, and a smallest file of a fault, if there is one}."""
    import random

    record = {"reader": reader.name, "files": 0, "read": 0, "refused": 0, "seconds": 0.0, "memory_kb": 0, "fault": None}
    good = reader.good()
    with tempfile.TemporaryDirectory() as folder:

        def is_fault(content: bytes) -> bool:
            told = attempt(reader, content, Path(folder))
            record["files"] += 1
            record["seconds"] = max(record["seconds"], told.seconds)
            record["memory_kb"] = max(record["memory_kb"], told.memory)
            if told.outcome in ("read", "refused"):
                record[told.outcome] += 1
                return False
            record["fault"] = f"{told.outcome[:300]} (of {content[:200].hex()})"
            return True

        if (told := attempt(reader, good, Path(folder))).outcome != "read":
            return record | {"fault": f"a good file: {told.outcome}"}
        how = settings(max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
                       suppress_health_check=list(HealthCheck))  # fmt: skip
        with contextlib.suppress(NoSuchExample, Flaky):  # memory that is taken once is not taken again
            find(spoilt(good), is_fault, settings=how, random=random.Random(seed))
    return record


def measure(minutes: float, seed: int = 0, readers: Sequence[Reader] = READERS) -> list[dict]:
    """One record a reader, all of them in turns until the time is over."""
    until = time.monotonic() + 60 * minutes
    records: dict[str, dict] = {}
    turn = 0
    while turn == 0 or time.monotonic() < until:
        for reader in readers:
            found, before = fuzz(reader, ROUND, seed + turn), records.get(reader.name)
            if before is not None:
                found = {
                    "reader": reader.name,
                    **{name: before[name] + found[name] for name in ("files", "read", "refused")},
                    **{name: max(before[name], found[name]) for name in ("seconds", "memory_kb")},
                    "fault": before["fault"] or found["fault"],
                }
            records[reader.name] = found
        turn += 1
    return list(records.values())


def lost(records: Sequence[dict]) -> list[str]:
    """A line a reader with a fault."""
    return [f"{record['reader']}: {record['fault']}" for record in records if record["fault"]]


def markdown(records: Sequence[dict]) -> str:
    """A row a reader."""
    header = ["reader", "files", "read", "refused in one line", "faults", "longest reading", "most memory taken"]
    rows = [[r["reader"], str(r["files"]), str(r["read"]), str(r["refused"]), "1 or more" if r["fault"] else "0",
             f"{r['seconds']:.2f} s", f"{r['memory_kb'] / 1024:.0f} MiB"] for r in records]  # fmt: skip
    total = [sum(r[name] for r in records) for name in ("files", "read", "refused")]
    rows.append(["all", *map(str, total), str(len(lost(records))), "", ""])
    return table_lines(header, rows) + "\n"
