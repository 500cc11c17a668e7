"""CREMA-D (Cao et al. 2014): 7442 clips of 91 actors who say a sentence with one of six emotions.

    AudioWAV/1001_DFA_ANG_XX.wav    VideoFlash/1001_DFA_ANG_XX.flv      actor, sentence, emotion, intensity

The split is that of the list files train.csv and test.csv (lines ``name,EMOTION``; Peng et al. 2022), 6698 and 744
clips; data.csv, a list of everything, may stand for train.csv. Without lists a seeded, stratified 9:1 is drawn. Actors
are in both splits either way.
"""

import re
from dataclasses import replace
from pathlib import Path

from iemf.data.clip import Clip
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import (
    Listing,
    checksum,
    files_by_stem,
    find_file,
    find_folder,
    read_list,
)
from iemf.data.split import draw_split
from iemf.errors import UserError

CLASSES = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
PUBLISHED = {"train": 6698, "test": 744}
FORM = Form(seconds=3.0, frames=16, frame_size=256)
TEST_SHARE = 0.1
UNKNOWN = -1  # label of a clip that is listed to be skipped
NAME = re.compile(r"\w+_\w+_([A-Z]{3})_\w+")
LISTS = {"train": "train.csv", "test": "test.csv"}
EVERYTHING = "data.csv"  # as the lists are published; what is not in test.csv is for training


def list_clips(source: Path, lists: Path | None = None, seed: int = 0) -> Listing:
    """Every clip that the lists name or, without lists, that the folders hold.

    Args:
        source: holds AudioWAV and VideoFlash, or a folder that does.
        lists: holds train.csv (or data.csv) and test.csv; by default ``source``, and without them a split is drawn.
        seed: of that split.

    Raises:
        UserError: a folder or list is missing, or a line of a list is not of this form; the message names it.
    """
    audio, visual = find_folder(source, "AudioWAV"), find_folder(source, "VideoFlash")
    # A mirror has one .mp4 beside the .flv of the same clip.
    sounds, films = files_by_stem(audio, (".wav",)), files_by_stem(visual, (".flv", ".mp4", ".avi"))
    folders = [lists] if lists is not None else [source, audio.parent]
    paths = {split: find_file(folders, name) for split, name in LISTS.items()}
    whole = paths["train"] is None
    paths["train"] = paths["train"] or find_file(folders, EVERYTHING)
    if any(path is None for path in paths.values()):
        if lists is not None or any(paths.values()):
            missing = next(LISTS[split] for split, path in paths.items() if path is None)
            raise UserError(f"{folders[0] / missing} is missing; both lists are needed, or none for a seeded 9:1 split")
        return _draw(sounds, films, seed)
    names = {split: _names(path) for split, path in paths.items()}
    if whole:
        in_test = set(names["test"])
        names["train"] = [name for name in names["train"] if name not in in_test]
    splits = {split: [_clip(name, sounds, films) for name in of_split] for split, of_split in names.items()}
    if shared := {c.id for c in splits["train"]} & {c.id for c in splits["test"]}:
        raise UserError(f"{paths['test']} names {min(shared)}, which {paths['train']} has too; test clips must be new")
    return _listing(splits, {path.name: checksum(path) for path in paths.values()})


def _draw(sounds: dict[str, Path], films: dict[str, Path], seed: int) -> Listing:
    clips = [_clip(name, sounds, films) for name in sorted(sounds.keys() | films.keys())]
    if not clips:
        raise UserError("AudioWAV and VideoFlash hold no .wav and .flv files; is `source` the right one?")
    known = [clip for clip in clips if clip.label != UNKNOWN]
    drawn = dict(zip([clip.id for clip in known], draw_split([c.label for c in known], TEST_SHARE, seed), strict=True))
    splits = {
        split: [clip for clip in clips if drawn.get(clip.id, False) == (split == "test")] for split in ("train", "test")
    }
    return _listing(splits, {"split": f"9:1, stratified, seed {seed}"})


def _listing(splits: dict[str, list[Clip]], made_from: dict[str, str]) -> Listing:
    """With the emotions that occur; all six, unless only a part was downloaded."""
    labels = sorted({clip.label for clips in splits.values() for clip in clips} - {UNKNOWN})
    splits = {
        split: [replace(c, label=labels.index(c.label) if c.label in labels else UNKNOWN) for c in clips]
        for split, clips in splits.items()
    }
    return Listing(tuple(CLASSES[label] for label in labels), splits, made_from)


def _names(path: Path) -> list[str]:
    """The clips of a list, in order."""
    names = []
    for line, (name, emotion) in read_list(path, 2):
        match = NAME.fullmatch(name)
        if match is None or emotion not in CLASSES or match[1] != emotion:
            raise UserError(f"{line} is not a clip and its emotion ({', '.join(CLASSES)}): {name!r}, {emotion!r}")
        names.append(name)
    if len(set(names)) < len(names):
        raise UserError(f"{path} names {next(n for n in names if names.count(n) > 1)} twice; remove one line")
    return names


def _clip(name: str, sounds: dict[str, Path], films: dict[str, Path]) -> Clip:
    """A clip by the files that are there: a name is looked up, never made into a path."""
    sound, film = sounds.get(name), films.get(name)
    match = NAME.fullmatch(name)
    known = match is not None and match[1] in CLASSES
    problem = ""
    if not known:
        problem = f"the name {name!r} does not tell an emotion, as 1001_DFA_ANG_XX does"
    elif sound is None or film is None:
        problem = f"AudioWAV holds no {name}.wav" if sound is None else f"VideoFlash holds no {name}.flv"
    return Clip(name, CLASSES.index(match[1]) if known else UNKNOWN, sound, (film,) if film else (), problem)
