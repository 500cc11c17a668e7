"""The data of a question-answering run; av-digits-qa is made where it is not yet there."""

import functools
import sys
from pathlib import Path

from filelock import FileLock
from tqdm import tqdm

from experiments.avqa import encoders
from iemf.avqa import av_digits_qa, music_avqa
from iemf.avqa.data import AVQAData
from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import holds_nothing

RECIPE = "made.json"


def recipe() -> dict:
    """What the features of av-digits-qa depend on, as JSON values; a folder made otherwise is made anew."""
    trained = {name: getattr(encoders, name) for name in ("WIDTH", "FEATURES", "SHARPNESS", "EPOCHS", "RATE")}
    return {"scenes": dict(av_digits_qa.SCENES), "noise": [list(part) for part in av_digits_qa.NOISE],
            "encoders": trained}  # fmt: skip


def is_made(folder: Path) -> bool:
    """Whether a folder holds av-digits-qa, whole and of this recipe."""
    return (folder / RECIPE).exists() and read_json(folder / RECIPE) == recipe()


def make_if_missing(folder: Path, progress: bool = True) -> None:
    """av-digits-qa in a folder: encoders trained, scenes drawn and encoded, once.

    Raises:
        UserError: the folder holds something else, or cannot be written to.
    """
    if is_made(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):  # let go of by a kill too
            if not holds_nothing(folder) and not (folder / RECIPE).exists():
                raise UserError(f"`cache` {folder} holds files that are not av-digits-qa's; name a new folder")
            if not is_made(folder):
                _make(folder, progress)
    except OSError as error:
        raise UserError(f"`cache` {folder} cannot be written ({error.strerror}); name another folder") from None


def _make(folder: Path, progress: bool) -> None:
    write_json(folder / RECIPE, {"unfinished": recipe()})
    print(f"making av-digits-qa in {folder}: encoders, then scenes", file=sys.stderr, flush=True)
    made = encoders.train(progress)
    with tqdm(total=sum(av_digits_qa.SCENES.values()), desc="scenes", unit="scene", disable=not progress,
              leave=False, dynamic_ncols=True) as bar:  # fmt: skip
        av_digits_qa.make(folder, made, av_digits_qa.SCENES, bar.update)
    write_json(folder / RECIPE, recipe())


@functools.cache
def load(dataset: str, root: Path | None, cache: Path) -> AVQAData:
    """The data set; read once for all runs of a process.

    Raises:
        UserError: see :mod:`iemf.avqa.music_avqa`; av-digits-qa has not been made.
    """
    return music_avqa.load(root) if dataset == "music-avqa" else av_digits_qa.load(cache)
