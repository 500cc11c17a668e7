"""From the files that people download to shards that training reads fast.

    python -m experiments.prepare crema-d --source downloads/CREMA-D --out data/crema-d
    python -m experiments.prepare crema-d --out data/crema-d --validate

Interrupted, the same command goes on; repeated, it does nothing. docs/datasets.md says where to get the data.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import tyro

from experiments.sweep import command_line
from experiments.sweep.runs import say
from iemf.analysis.preview import preview
from iemf.data.clip import visible
from iemf.data.preparation import archive, manifest
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import checksum
from iemf.data.preparation.run import claim, prepare
from iemf.data.sets import crema_d, folder, kinetics_sounds, urbansound8k_av
from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import only_writer
from iemf.pool import available_cores

# Each offers list_clips(source, lists, seed), FORM and PUBLISHED.
DATASETS: dict[str, ModuleType] = {
    "crema-d": crema_d,
    "kinetics-sounds": kinetics_sounds,
    "urbansound8k-av": urbansound8k_av,
    "folder": folder,
}
UNPACKED = "unpacked"
PREVIEW = "preview.png"


@dataclass(frozen=True)
class PrepareConfig:
    """Decode a data set once, with PyAV and soundfile on all cores, or check what was prepared."""

    dataset: Annotated[Literal["crema-d", "kinetics-sounds", "urbansound8k-av", "folder"], tyro.conf.Positional]
    out: Path
    """The prepared folder."""
    source: Path | None = None
    """The official files: their folder, or a .zip or .tar archive of it."""
    lists: Path | None = None
    """Folder of the official list files; by default --source."""
    split_seed: int | None = None
    """crema-d without lists, urbansound8k-av: draws the split; 0 by default."""
    seconds: float | None = None
    """Sound to keep of each clip, from its beginning; 3 by default, urbansound8k-av 4."""
    frames: int | None = None
    """Evenly spaced frames to keep of each clip, at most; 16 by default, urbansound8k-av 1."""
    frame_size: int | None = None
    """Pixels of a frame's short side, at most; 256 by default, urbansound8k-av 160."""
    quality: int | None = None
    """Of the JPEG files, 1 to 95; 92 by default. JPEG files that are small enough are kept as they are."""
    max_skipped: float = 0.05
    """The share of clips that may be broken, silent or missing; more is an error."""
    jobs: int | None = None
    """Processes; by default one a core."""
    validate: bool = False
    """Only check --out against its manifest and the published counts."""
    progress: bool = True


def form(config: PrepareConfig) -> Form:
    """The stored form: the data set's own, with the options put in.

    Raises:
        UserError: an option is out of range.
    """
    for name, (least, most) in {"seconds": (0.05, 3600), "frames": (1, 10000), "frame_size": (32, 4096),
                                "quality": (1, 95), "jobs": (1, 1024), "max_skipped": (0, 1)}.items():  # fmt: skip
        value = getattr(config, name)
        if value is not None and not least <= value <= most:
            raise UserError(f"--{name.replace('_', '-')} {value} must lie between {least} and {most}")
    chosen = {name: getattr(config, name) for name in ("seconds", "frames", "frame_size", "quality")}
    return replace(
        DATASETS[config.dataset].FORM, **{name: value for name, value in chosen.items() if value is not None}
    )


def main(config: PrepareConfig) -> None:
    """Prepare, check, and say what is there."""
    out, published = config.out.expanduser().absolute(), DATASETS[config.dataset].PUBLISHED
    wanted = form(config)
    if config.split_seed is not None and config.dataset in ("kinetics-sounds", "folder"):
        raise UserError(f"--split-seed {config.split_seed} is of no use to {config.dataset}, whose split is given")
    if not config.validate:
        if config.source is None:
            of = "of your own clips" if config.dataset == "folder" else f"that holds {config.dataset}"
            raise UserError(f"--source is missing: the folder or archive {of} (docs/datasets.md)")
        with only_writer(out, "is preparing data"):
            run(config, config.source.expanduser().absolute(), out, wanted)
    print("\n".join(manifest.validate(out, config.dataset, published, config.progress)))


def run(config: PrepareConfig, source: Path, out: Path, wanted: Form) -> None:
    """Unpack if need be, list and prepare.

    Raises:
        UserError: see :func:`iemf.data.preparation.run.prepare`.
    """
    packed = source.is_file()
    origin = {}
    if packed:
        if not archive.is_archive(source):
            raise UserError(f"--source {source} is neither a folder nor an archive ({', '.join(archive.SUFFIXES)})")
        state, seed = source.stat(), config.split_seed or 0
        origin = {"archive": f"{source.name}, {state.st_size} bytes of {int(state.st_mtime)}, split seed {seed}",
                  "--lists": list_checksums(config.lists)}  # fmt: skip
        claim(out, config.dataset, wanted)
        if made_from(out, config.dataset, origin, config.max_skipped):
            clear(out)
            return
        source = unpacked(source, out, origin, config.progress)
    elif not source.exists():
        raise UserError(f"--source {source} does not exist")
    lists = None if config.lists is None else config.lists.expanduser().absolute()
    listing = DATASETS[config.dataset].list_clips(source, lists, config.split_seed or 0)
    for remark in listing.remarks:
        say("prepare", command_line.as_options(remark))
    listing = replace(listing, made_from=listing.made_from | origin)
    jobs = config.jobs or available_cores()
    content = prepare(listing, source, out, config.dataset, wanted, jobs, config.max_skipped, config.progress)
    picture = out / PREVIEW
    if not picture.exists() or picture.stat().st_mtime_ns < (out / manifest.MANIFEST).stat().st_mtime_ns:
        preview(out, content, picture)
    if packed:
        clear(out)


def clear(out: Path) -> None:
    """Remove what an archive was unpacked to; the mark first, so that half of it is not taken for whole."""
    (out / f"{UNPACKED}.json").unlink(missing_ok=True)
    shutil.rmtree(out / UNPACKED, ignore_errors=True)


def list_checksums(folder: Path | None) -> str:
    """Of every file in the folder of lists, so that other lists are noticed."""
    if folder is None:
        return "none"
    files = [path for path in visible(folder.expanduser()) if path.is_file()]
    return " ".join(f"{path.name} {checksum(path)[:16]}" for path in files)


def made_from(out: Path, dataset: str, origin: dict, max_skipped: float) -> bool:
    """Whether ``out`` is prepared to the end from this archive, nothing is missing, and no more was skipped."""
    try:
        content = manifest.read(out, dataset)
    except UserError:
        return False
    clips = sum(about["total"] for about in content["clips"].values())
    few = content["skipped"] <= max_skipped * (clips + content["skipped"])
    return few and content["made_from"].items() >= origin.items()


def unpacked(source: Path, out: Path, origin: dict, progress: bool) -> Path:
    """The folder in ``out`` that an archive is unpacked to; what another archive left there is removed."""
    folder, mark = out / UNPACKED, out / f"{UNPACKED}.json"
    if not (mark.exists() and folder.exists() and read_json(mark) == origin):
        clear(out)
        archive.unpack(source, folder, progress)
        write_json(mark, origin)
    return folder


if __name__ == "__main__":
    command_line.run_program("prepare")
