"""Films to features of frozen encoders, once; training then reads the features.

    python -m experiments.extract --task continual --dataset ave-ci --source AVE/videos --lists AV-CIL/data/AVE \\
        --out features/ave-ci
    python -m experiments.extract --task avqa --source MUSIC-AVQA/videos --vggish vggish.pth --out music-avqa/feats

continual: VideoMAE and AudioMAE of every listed clip, in float16. avqa: VGGish and ResNet-18 maps of every film, 60
seconds each. Interrupted, the same command goes on. docs/features.md has the sizes and where the weights come from.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from tqdm import tqdm

from experiments.sweep import command_line
from experiments.sweep.options import check_least
from experiments.sweep.runs import say
from iemf.continual import public
from iemf.continual.public import Lists
from iemf.errors import UserError
from iemf.features import audio_mae, films, minutes, resnet_maps, vggish, video_mae
from iemf.features.audio_mae import AudioMAE
from iemf.features.films import Read, find_films
from iemf.features.store import FAULTY, WAITING, FeatureStore, claim
from iemf.features.video_mae import VideoMAE
from iemf.lock import only_writer
from iemf.pool import available_cores

READ_BY = {
    "continual": ("dataset", "lists", "video_mae", "audio_mae", "max_missing"),
    "avqa": ("vggish", "resnet"),
}


@dataclass(frozen=True)
class ExtractConfig:
    """Encode films once, on a GPU if there is one."""

    task: Literal["continual", "avqa"]
    source: Path
    """The folder with the films, at any depth; a film's name is its video id."""
    out: Path
    """Folder of the features."""
    dataset: Literal["ave-ci", "k-s-ci", "vs100-ci"] | None = None
    """continual: the benchmark."""
    lists: Path | None = None
    """continual: the folder with all_classId_vid_dict.npy and category_encode_dict.npy of the public release."""
    video_mae: str = video_mae.DEFAULT
    """continual: VideoMAE's weights, a name on the Hugging Face hub or a local folder."""
    audio_mae: str = audio_mae.DEFAULT
    """continual: AudioMAE's weights, a name on the hub, a local folder or the released file."""
    max_missing: float = 0.0
    """continual: the share of listed clips that may be missing or broken; they are left out."""
    vggish: Path | None = None
    """avqa: VGGish's weights, a local file."""
    resnet: Path | None = None
    """avqa: ResNet-18's weights, a local file; by default torchvision's, downloaded once."""
    batch_size: int = 8
    """Clips at a time; of avqa, films of a minute: one at a time."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the encoders; fp16 on a GPU only."""
    workers: int | None = None
    """Processes that decode; by default one a core but one, 0: none."""
    progress: bool = True


def check(config: ExtractConfig) -> None:
    """Raise UserError for options out of range, missing, or of the other task."""
    for other, names in READ_BY.items():
        for field in fields(config):
            value = getattr(config, field.name)
            if other != config.task and field.name in names and value != field.default:
                raise UserError(f"--{field.name.replace('_', '-')} {value} is read with --task {other} only")
    if config.task == "continual":
        for name in ("dataset", "lists"):
            if getattr(config, name) is None:
                raise UserError(f"--task continual needs --{name} (docs/features.md)")
    elif config.vggish is None:
        raise UserError("--task avqa needs --vggish, the file of VGGish's weights (docs/features.md)")
    if not 0 <= config.max_missing < 1:
        raise UserError(f"--max-missing {config.max_missing} must be 0 or more and below 1")
    check_least(config, {"batch_size": 1, "workers": 0})
    if config.precision == "fp16" and not torch.cuda.is_available():
        raise UserError("--precision fp16 needs a CUDA device; use bf16 or fp32 on the CPU")


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def read_ahead_of(config: ExtractConfig) -> int:
    """Decoding processes."""
    return max(0, available_cores() - 1) if config.workers is None else config.workers


@torch.inference_mode()
def encode(network: nn.Module, x: Tensor, precision: str) -> Tensor:
    """float32 on the CPU."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    where = device()
    with torch.autocast(where.type, kind, enabled=precision != "fp32"):
        return network(x.to(where, non_blocking=True)).float().cpu()


def read_clip(path: Path, count: int, side: int) -> tuple[Tensor, Tensor]:
    """(frames, filter banks) of one film."""
    return video_mae.read_frames(path, count, side), audio_mae.read_banks(path)


def split_missing(lists: Lists, missing: set[str]) -> dict[str, dict[str, list[str]]]:
    """The lists without the missing clips, as JSON has them."""
    return {
        split: {str(label): [video for video in videos if video not in missing] for label, videos in by_class.items()}
        for split, by_class in lists.splits.items()
    }


def check_missing(config: ExtractConfig, lists: Lists, missing: list[str], why: str) -> None:
    """Raise UserError if more clips are missing than may be, or a class has none left in a split."""
    count = sum(len(lists.ids(split)) for split in lists.splits)
    if len(missing) > config.max_missing * count:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{why}: {missing[0]!r}{more} of {count} listed clips; get them, or leave them out with "
                        f"--max-missing {min(0.99, round(len(missing) / count + 0.005, 2)):g}")  # fmt: skip
    public.check(config.lists, lists.classes, split_missing(lists, set(missing)))


def continual(config: ExtractConfig) -> None:
    """VideoMAE and AudioMAE of every listed clip into one store.

    Raises:
        UserError: clips are missing or broken, weights cannot be had, or the store is another's.
    """
    lists = public.read_lists(config.lists)
    ids = [video for split in public.SPLITS for video in lists.ids(split)]
    found = find_films(config.source)
    missing = [video for video in ids if video not in found]
    check_missing(config, lists, missing, f"--source {config.source} has no film of")
    seeing, hearing = VideoMAE(config.video_mae).to(device()), AudioMAE(config.audio_mae).to(device())
    encoders = {"video_mae": config.video_mae, "audio_mae": config.audio_mae, "precision": config.precision}
    plan = {"benchmark": config.dataset, "ids": ids, "encoders": encoders}
    store = FeatureStore(config.out, plan, {"audio": hearing.shape, "visual": seeing.shape})
    if not store.finished:
        store.mark([row for row in range(len(ids)) if store.state[row] == FAULTY], WAITING)  # they may be mended by now
        if gone := [row for row in store.todo() if ids[row] not in found]:
            store.mark(gone, FAULTY)
        todo = [(row, found[ids[row]]) for row in store.todo()]
        read = functools.partial(read_clip, count=seeing.frames, side=seeing.side)
        for batch in batches(config, todo, read, len(ids)):
            for fault in (item for item in batch if item.fault):
                broken = [ids[row] for row in range(len(ids)) if store.state[row] == FAULTY] + [ids[fault.row]]
                check_missing(config, lists, broken[::-1], fault.fault)
                store.mark([fault.row], FAULTY)
            if whole := [item for item in batch if not item.fault]:
                frames, banks = (torch.stack(part) for part in zip(*(item.content for item in whole), strict=True))
                features = {"visual": encode(seeing, frames, config.precision),
                            "audio": encode(hearing, banks, config.precision)}  # fmt: skip
                store.write([item.row for item in whole], {kind: x.numpy() for kind, x in features.items()})
        left_out = [ids[row] for row in range(len(ids)) if store.state[row] == FAULTY]
        store.finish({"benchmark": config.dataset, "ids": ids, "classes": list(lists.classes),
                      "splits": split_missing(lists, set(left_out)), "missing": left_out,
                      "encoders": encoders})  # fmt: skip
    left_out = int((store.state == FAULTY).sum())
    print(f"{config.out}: {len(ids) - left_out} clips of {config.dataset}, {left_out} left out")


def batches(
    config: ExtractConfig,
    todo: list[tuple[int, Path]],
    read: Callable[[Path], Any],
    total: int,
    size: int | None = None,
) -> Iterator[list[Read]]:
    """Decoded films under a bar that counts clips; what is doubtful about one is said."""
    with tqdm(total=total, initial=total - len(todo), desc="extract", unit="clip", disable=not config.progress,
              dynamic_ncols=True) as bar:  # fmt: skip
        for batch in films.decoded(todo, read, size or config.batch_size, read_ahead_of(config)):
            for note in (note for item in batch for note in item.notes):
                with bar.external_write_mode():
                    say("extract", note)
            yield batch
            bar.update(len(batch))


def identity(path: Path) -> list:
    """A file as a plan knows it: its name and size."""
    return [path.name, path.stat().st_size]


def avqa(config: ExtractConfig) -> None:
    """VGGish and ResNet-18 maps of every film, two files each.

    Raises:
        UserError: a film is broken, weights cannot be had, or the folder cannot be written to.
    """
    found = find_films(config.source)
    hearing = vggish.load(config.vggish).to(device())
    seeing = resnet_maps.ResNetMaps(config.resnet).to(device())
    plan = {"vggish": identity(config.vggish), "resnet": config.resnet and identity(config.resnet),
            "precision": config.precision}  # fmt: skip
    claim(config.out, plan)
    names = list(found)
    todo = [(row, found[name]) for row, name in enumerate(names) if not minutes.is_done(config.out, name)]
    for (item,) in batches(config, todo, minutes.read_minute, len(names), size=1):
        if item.fault:
            raise UserError(item.fault)
        sound = encode(hearing, item.content.sound, config.precision)
        maps = [encode(seeing, part, config.precision) for part in item.content.frames.split(config.batch_size)]
        minutes.write(config.out, names[item.row], {"audio": sound.numpy(), "visual": torch.cat(maps).numpy()})
    print(f"{config.out}: {len(names)} films, {len(names) - len(todo)} of them done before")


def main(config: ExtractConfig) -> None:
    """Extract what is missing."""
    check(config)
    with only_writer(config.out, "is extracting features"):
        {"continual": continual, "avqa": avqa}[config.task](config)


if __name__ == "__main__":
    command_line.run_program("extract")
