"""A prepared folder's papers: plan.json (what is to be made), manifest.json (what is there), skipped.csv (what not)."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import av
import pyarrow
import soxr
from tqdm import tqdm

from iemf.data import audio
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import checksum
from iemf.data.preparation.shard import Shard
from iemf.errors import UserError
from iemf.files import read_json, write_atomically

FORMAT = 1
MANIFEST, PLAN, SKIPPED, SHARDS = "manifest.json", "plan.json", "skipped.csv", "shards"
COLUMNS = ("split", "class", "clip", "reason")


def describe(
    dataset: str,
    classes: tuple[str, ...],
    splits: Iterable[str],
    form: Form,
    made_from: dict,
    shards: list[tuple[dict, Counter]],
    skipped: int,
) -> dict:
    """The content of manifest.json; ``shards`` as :func:`inspect` gives them."""
    clips: dict[str, Counter] = {split: Counter() for split in splits}
    for line, labels in shards:
        clips[line["split"]].update({classes[label]: count for label, count in labels.items()})
    return {
        "format": FORMAT,
        "dataset": dataset,
        "classes": list(classes),
        "clips": {
            split: {"total": counts.total(), "by_class": {name: counts[name] for name in classes}}
            for split, counts in clips.items()
        },
        "skipped": skipped,
        "form": asdict(form) | {"sample_rate": audio.SAMPLE_RATE},
        "made_from": made_from,
        "versions": {"av": av.__version__, "pyarrow": pyarrow.__version__, "soxr": soxr.__version__},
        "shards": [line for line, _ in shards],
    }


def inspect(path: Path, split: str) -> tuple[dict, Counter]:
    """(a shard's line in the manifest, the number of clips of each label)."""
    counts = Counter(Shard(path).labels)
    line = {
        "file": path.name,
        "split": split,
        "clips": counts.total(),
        "bytes": path.stat().st_size,
        "sha256": checksum(path),
    }
    return line, counts


def write_skipped(path: Path, skipped: list[dict]) -> None:
    """skipped.csv: a line a clip that could not be used, and why."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(skipped)
    write_atomically(path, text.getvalue())


def read_skipped(path: Path) -> list[dict]:
    """What :func:`write_skipped` wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); prepare the data again") from None


def is_prepared(root: Path) -> bool:
    """Whether a folder was made, or begun, by ``iemf prepare``."""
    return (root / MANIFEST).exists() or (root / PLAN).exists()


def read(root: Path, dataset: str) -> dict:
    """The manifest of a whole prepared folder; that every shard is there is checked, its content is not.

    Raises:
        UserError: not prepared, not to the end, another data set's, or a shard is missing or of another size.
    """
    if not (root / MANIFEST).exists():
        state = "is not finished" if (root / PLAN).exists() else "is missing"
        raise UserError(f"{root / MANIFEST} {state}; prepare it first (`iemf prepare {dataset}`)")
    manifest = read_json(root / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise UserError(f"{root / MANIFEST} has format {manifest.get('format')!r}, this version reads {FORMAT}; "
                        f"prepare the data again")  # fmt: skip
    if manifest["dataset"] != dataset:
        raise UserError(f"{root} holds {manifest['dataset']}, not {dataset}; name another `data_root` or `dataset`")
    for shard in manifest["shards"]:
        path = root / SHARDS / shard["file"]
        size = path.stat().st_size if path.exists() else None
        if size != shard["bytes"]:
            was = "is missing" if size is None else f"has {size} bytes, not {shard['bytes']}"
            raise UserError(f"{path} {was}; prepare the data again, which makes anew only what is missing")
    return manifest


def digest(root: Path) -> str | None:
    """What tells one preparation of a folder from another, in 16 hexadecimal digits; None if it is not prepared."""
    path = root / MANIFEST
    if not path.exists():
        return None
    content = read_json(path)
    if content.get("format") != FORMAT:
        return None  # read() says what is wrong with it
    shards = [(shard["split"], shard["sha256"]) for shard in content["shards"]]
    return hashlib.sha256(json.dumps(shards).encode()).hexdigest()[:16]


def validate(root: Path, dataset: str, published: dict[str, int], progress: bool = True) -> list[str]:
    """Compare a prepared folder with its manifest, bit for bit, and with the published counts; lines that say it.

    Raises:
        UserError: see :func:`read`; or a shard's content is not what was written.
    """
    manifest = read(root, dataset)
    for shard in tqdm(manifest["shards"], "checking", unit="shard", disable=not progress, dynamic_ncols=True):
        path = root / SHARDS / shard["file"]
        if checksum(path) != shard["sha256"]:
            raise UserError(
                f"{path} is damaged: its checksum is not the manifest's; remove it and prepare the data again"
            )
    skipped = read_skipped(root / SKIPPED)
    if len(skipped) != manifest["skipped"]:
        raise UserError(f"{root / SKIPPED} names {len(skipped)} clips, the manifest {manifest['skipped']}; "
                        f"remove {root / MANIFEST} and prepare the data again")  # fmt: skip
    lines = [f"{dataset}: {len(manifest['shards'])} shards as written, {len(manifest['classes'])} classes"]
    counts = {split: about["total"] for split, about in manifest["clips"].items()}
    counts["total"] = sum(counts.values())
    for split, count in counts.items():
        expected = published.get(split)
        beside = "" if expected is None else " (as published)" if count == expected else f" (published: {expected})"
        lines.append(f"{split}: {count} clips{beside}")
    lines += [f"missing: {line['split']}/{line['clip']}: {line['reason']}" for line in skipped[:10]]
    if len(skipped) > 10:
        lines.append(f"and {len(skipped) - 10} more in {root / SKIPPED}")
    return lines
