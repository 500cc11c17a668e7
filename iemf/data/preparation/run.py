"""Preparing a data set on all cores: interrupted, it goes on; repeated, it does nothing."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from iemf.data.clip import Clip
from iemf.data.names import is_utf8
from iemf.data.preparation import manifest, shard
from iemf.data.preparation.encode import Form, encode
from iemf.data.preparation.listing import Listing
from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import holds_nothing
from iemf.pool import ProcessDied, in_processes

WHO = "a process that decodes files (one of them may crash the decoder)"
CLIPS_A_SHARD = 64  # the unit of work: what a killed worker loses at most


@dataclass(frozen=True)
class Job:
    """A shard to be made. ``fingerprint`` changes with the clips, the size or time of a file, and the form.

    ``crashing`` are positions of clips whose decoding has ended a process.
    """

    path: Path
    split: str
    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    form: Form
    fingerprint: str
    crashing: tuple[int, ...] = ()

    @property
    def mark(self) -> Path:
        """Says, while the shard is made, which clip is being decoded; it outlives a process that dies of it."""
        return self.path.with_name(f".{self.path.stem}.decoding")


def prepare(
    listing: Listing,
    source: Path,
    out: Path,
    dataset: str,
    form: Form,
    jobs: int,
    max_skipped: float,
    progress: bool = True,
) -> dict:
    """Write shards, skipped.csv and, when all is well, manifest.json; return the manifest.

    Args:
        listing: the clips.
        source: the folder they lie in; files are recorded relative to it.
        out: the prepared folder.
        dataset: its name.
        form: how clips are stored.
        jobs: processes.
        max_skipped: the share of clips, 0 to 1, that may be skipped.
        progress: show a bar.

    Raises:
        UserError: ``out`` holds something else or cannot be written, or too many clips were skipped.
    """
    if odd := [name for name in listing.classes if not is_utf8(name)]:
        raise UserError(f"`source` {source} holds a class {odd[0]!a} whose name is not UTF-8; rename its folder")
    todo = plan(listing, source, out, form)
    claim(out, dataset, form)
    try:
        return _prepare(listing, todo, out, dataset, form, jobs, max_skipped, progress)
    except OSError as error:
        raise UserError(f"{error.filename or out} cannot be written ({error.strerror or error}); finished shards are "
                        f"kept: make room or mend the target, then run the same command again") from None  # fmt: skip


def _prepare(
    listing: Listing,
    todo: list[Job],
    out: Path,
    dataset: str,
    form: Form,
    jobs: int,
    max_skipped: float,
    progress: bool,
) -> dict:
    stale = [job for job in todo if (shard.read_metadata(job.path) or {}).get("fingerprint") != job.fingerprint]
    done = out / manifest.MANIFEST
    if not stale and done.exists():
        content = read_json(done)
        same = [s["file"] for s in content["shards"]] == [job.path.name for job in todo]
        if same and content["made_from"] == listing.made_from:
            _check_share(manifest.read_skipped(out / manifest.SKIPPED), todo, max_skipped, out)
            return content
    done.unlink(missing_ok=True)
    _make(stale, sum(len(job.clips) for job in todo), jobs, progress)
    shard.remove_others(out / manifest.SHARDS, {job.path.name for job in todo})
    skipped = [line for job in todo for line in shard.read_metadata(job.path)["skipped"]]
    manifest.write_skipped(out / manifest.SKIPPED, skipped)
    _check_share(skipped, todo, max_skipped, out)
    bar = tqdm(todo, "checksums", unit="shard", disable=not progress, leave=False, dynamic_ncols=True)
    shards = [manifest.inspect(job.path, job.split) for job in bar]
    content = manifest.describe(dataset, listing.classes, listing.splits, form, listing.made_from, shards, len(skipped))
    _check_left(content, out)
    write_json(done, content)
    return content


def _check_share(skipped: list[dict], todo: Sequence[Job], most: float, out: Path) -> None:
    """Raise UserError if more than the share ``most`` of all clips was skipped."""
    total = sum(len(job.clips) for job in todo)
    if len(skipped) > most * total:
        raise UserError(
            f"{len(skipped)} of {total} clips were skipped ({100 * len(skipped) / total:.1f} %), more than "
            f"`max_skipped` {most:g} allows; the first: {skipped[0]['reason']}. All are named in "
            f"{out / manifest.SKIPPED}; mend them and run the same command again, or accept them with a higher "
            f"`max_skipped`"
        )


def _check_left(content: dict, out: Path) -> None:
    """Raise UserError if a class has nothing to train on, or a split nothing at all."""
    for split, about in content["clips"].items():
        empty = [name for name, count in about["by_class"].items() if count == 0]
        if about["total"] == 0 or (split == "train" and empty):
            what = f"clip of class {empty[0]!r}" if split == "train" else "clip"
            raise UserError(f"no {what} is left in {split}; see {out / manifest.SKIPPED}")


def plan(listing: Listing, source: Path, out: Path, form: Form) -> list[Job]:
    """The shards that ``listing`` makes, in order."""
    jobs = []
    for split, clips in listing.splits.items():
        for number, start in enumerate(range(0, len(clips), CLIPS_A_SHARD)):
            part = tuple(clips[start : start + CLIPS_A_SHARD])
            content = [manifest.FORMAT, asdict(form), listing.classes, [_state(clip, source) for clip in part]]
            fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()
            path = out / manifest.SHARDS / f"{split}-{number:05d}.arrow"
            jobs.append(Job(path, split, part, listing.classes, form, fingerprint))
    return jobs


def _state(clip: Clip, source: Path) -> list:
    """What tells whether a clip has changed: its files, their sizes and times of change."""
    files = []
    for path in clip.files:
        try:
            state = path.stat()
        except OSError as error:
            files.append([path.relative_to(source).as_posix(), str(error.strerror)])
        else:
            files.append([path.relative_to(source).as_posix(), state.st_size, int(state.st_mtime)])
    return [clip.id, clip.label, clip.problem, files]


def claim(out: Path, dataset: str, form: Form) -> None:
    """Make ``out`` the folder of this data set in this form, or see that it is.

    Raises:
        UserError: it holds something else, or cannot be written.
    """
    path = out / manifest.PLAN
    wanted = {"format": manifest.FORMAT, "dataset": dataset, "form": asdict(form)}
    try:
        if path.exists():
            for name, value in read_json(path).items():
                if wanted.get(name) != value:
                    raise UserError(f"{path} has {name} {json.dumps(value)}, this run {json.dumps(wanted.get(name))}; "
                                    f"use the same options or another `out`")  # fmt: skip
        elif out.exists() and not holds_nothing(out):
            raise UserError(f"`out` {out} holds files that were not prepared here; name a new folder")
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_json(path, wanted)  # first, so that whatever else is there is known to be ours
        (out / manifest.SHARDS).mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"`out` {out} cannot be written ({error.strerror}); name another folder") from None


def _make(stale: Sequence[Job], total: int, jobs: int, progress: bool) -> None:
    """Run every job; the bar counts clips, those of shards that were there included."""
    if not stale:
        return
    clips = sum(len(job.clips) for job in stale)
    skipped = 0
    with tqdm(total=total, initial=total - clips, desc="preparing", unit="clip", disable=not progress,
              dynamic_ncols=True, smoothing=0.05) as bar:  # fmt: skip
        # A shard whose making has ended a process, perhaps by one of its files, is made apart.
        suspect = [job for job in stale if job.mark.exists()]
        others = [job for job in stale if not job.mark.exists()]
        usual = map(make_shard, others) if jobs == 1 else _in_processes(others, jobs)
        for done, left_out in itertools.chain(usual, map(_apart, suspect)):
            skipped += left_out
            bar.update(done)
            bar.set_postfix_str(f"{skipped} skipped")


def _in_processes(stale: Sequence[Job], jobs: int) -> Iterator[tuple[int, int]]:
    """What :func:`make_shard` returns, as it comes."""
    waiting = {job.path: job for job in stale}
    try:
        with closing(in_processes(make_shard, stale, jobs, threads=1, what=WHO)) as results:
            for done in results:
                if done.error is not None:
                    raise done.error
                del waiting[done.job.path]
                yield done.result
    except ProcessDied:
        begun = [job for job in waiting.values() if job.mark.exists()]
        if not begun:
            raise
        yield from map(_apart, begun)
        yield from _in_processes([job for job in waiting.values() if job not in begun], jobs)


def _apart(job: Job) -> tuple[int, int]:
    """:func:`make_shard` in a process of its own, again without each clip that ends it."""
    while True:
        job.mark.unlink(missing_ok=True)
        try:
            (done,) = in_processes(make_shard, [job], 1, threads=1, what=WHO)
        except ProcessDied:
            position = int(job.mark.read_text()) if job.mark.exists() else -1
            if position < 0 or position in job.crashing:  # it was no clip's fault
                raise
            job = replace(job, crashing=(*job.crashing, position))
            continue
        if done.error is not None:
            raise done.error
        return done.result


def make_shard(job: Job) -> tuple[int, int]:
    """Decode the clips of one job and write its shard; (clips, how many of them were skipped).

    Raises:
        UserError: the shard cannot be written.
    """
    try:
        rows, skipped = _encoded(job)
        shard.write(job.path, rows, {"fingerprint": job.fingerprint, "skipped": skipped})
    except OSError as error:
        raise UserError(
            f"{job.path} cannot be written ({error.strerror or error}); finished shards are kept: make room or mend "
            f"the target, then run the same command again"
        ) from None
    finally:  # of an error, not of a process that dies
        job.mark.unlink(missing_ok=True)
    return len(job.clips), len(skipped)


def _encoded(job: Job) -> tuple[list[shard.Row], list[dict]]:
    """(the clips that can be stored, why others cannot); the mark says which is at hand."""
    rows, skipped = [], []
    for position, clip in enumerate(job.clips):
        if position in job.crashing:
            skipped.append(_reason(job, clip, f"{clip.files[0]} or a file beside it ends the process that decodes it; "
                                              f"repair or remove it"))  # fmt: skip
            continue
        job.mark.write_text(str(position))
        try:
            clip.id.encode()  # Arrow and the lists hold UTF-8; file systems hold any bytes
            rows.append(encode(clip, job.form))
        except UnicodeEncodeError:
            skipped.append(_reason(job, clip, f"the name {clip.id!a} is not UTF-8; rename the file"))
        except UserError as error:
            skipped.append(_reason(job, clip, str(error)))
        except Exception as error:  # what decoders raise on damaged files is without end; it is recorded, not lost
            named = f"{clip.files[0] if clip.files else clip.id} cannot be decoded ({type(error).__name__}: {error})"
            skipped.append(_reason(job, clip, " ".join(named.split())))
    return rows, skipped


def _reason(job: Job, clip: Clip, reason: str) -> dict:
    name = job.classes[clip.label] if clip.label >= 0 else ""
    line = {"split": job.split, "class": name, "clip": clip.id, "reason": reason}
    return {key: text.encode(errors="backslashreplace").decode() for key, text in line.items()}
