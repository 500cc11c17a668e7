"""What the tests of experiments.prepare share."""

import csv

from iemf.data.preparation.shard import Shard

SMALL = ("--frame-size", 32, "--frames", 4, "--jobs", 1, "--no-progress")


def ids(out):
    """{split: clip names} of a prepared folder."""
    found = {}
    for path in sorted((out / "shards").iterdir()):
        found.setdefault(path.name.split("-")[0], []).extend(Shard(path).ids)
    return found


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def skipped(out):
    return {row["clip"]: row["reason"] for row in rows(out / "skipped.csv")}


def content(folder):
    """{file: bytes} of everything in a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
