"""A data set that experiments.prepare made: shards of decoded sound and JPEG frames, memory-mapped."""

import bisect
from pathlib import Path

from torch import Tensor

from iemf.data import audio
from iemf.data.base import AudioVisualData
from iemf.data.clips import SPLITS, Choose, Clips, FrontEnd, View
from iemf.data.noise import Noise
from iemf.data.preparation import manifest
from iemf.data.preparation.manifest import is_prepared
from iemf.data.preparation.shard import Shard
from iemf.data.split import draw_validation
from iemf.errors import UserError

__all__ = ["Shards", "is_prepared", "load"]


class Shards:
    """The clips of some shards, in order; see :class:`iemf.data.clips.ClipSource`.

    A process maps a shard when it first reads it.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths, self.ends, self.labels = paths, [], []
        for path in paths:
            self.labels += Shard(path).labels
            self.ends.append(len(self.labels))
        self.open: dict[int, Shard] = {}

    def read(self, index: int, choose: Choose, seconds: float) -> tuple[Tensor, Tensor]:
        """Sound as int16, and the chosen frames."""
        number = bisect.bisect_right(self.ends, index)
        if number not in self.open:
            self.open[number] = Shard(self.paths[number])
        begin = self.ends[number - 1] if number else 0
        return self.open[number].read(index - begin, choose, round(seconds * audio.SAMPLE_RATE))

    def __getstate__(self) -> dict:
        return self.__dict__ | {"open": {}}  # maps do not travel to a worker that is spawned


def load(
    root: Path,
    dataset: str,
    seed: int = 0,
    view: View = View(),  # noqa: B008  immutable
    noise: Noise = Noise(),  # noqa: B008
    test_noise: Noise | None = None,
    spectrogram_size: int | None = None,
) -> AudioVisualData:
    """The prepared data set ``dataset`` under ``root``.

    Args:
        root: what experiments.prepare made.
        dataset: its name; another one's folder is refused.
        seed, view, noise, test_noise, spectrogram_size: see :func:`iemf.data.sets.folder.load`.

    Raises:
        UserError: not prepared to the end, damaged, or stored with less sound than ``view`` asks for.
    """
    content = manifest.read(root, dataset)
    if view.seconds > content["form"]["seconds"]:
        raise UserError(f"{root} was prepared with {content['form']['seconds']:g} s of sound, --seconds "
                        f"{view.seconds:g} is more; prepare it anew with --seconds {view.seconds:g}")  # fmt: skip
    if view.frames > content["form"]["frames"]:
        raise UserError(f"{root} was prepared with {content['form']['frames']} frame(s) of a clip, --frames "
                        f"{view.frames} is more; prepare it anew with --frames {view.frames}")  # fmt: skip
    sources = {
        split: Shards([root / manifest.SHARDS / s["file"] for s in content["shards"] if s["split"] == split])
        for split in content["clips"]
    }
    rows = {split: (source, range(len(source.labels))) for split, source in sources.items()}
    if "val" not in rows:
        source = sources["train"]
        aside = draw_validation(source.labels, content["classes"], seed)
        rows["train"] = source, [row for row, chosen in enumerate(aside) if not chosen]
        rows["val"] = source, [row for row, chosen in enumerate(aside) if chosen]
    noises = {"train": noise, "val": noise, "test": test_noise or noise}
    datasets = {
        split: Clips(source, chosen, view, split == "train", seed, noises[split], SPLITS.index(split))
        for split, (source, chosen) in rows.items()
    }
    return AudioVisualData(
        name=dataset,
        classes=tuple(content["classes"]),
        audio_channels=1,
        visual_channels=3,
        front_end=FrontEnd(spectrogram_size),
        set_epoch=lambda epoch: setattr(datasets["train"], "epoch", epoch),
        about={
            "root": str(root),
            "clips": {split: len(data) for split, data in datasets.items()},
            "skipped": content["skipped"],
            "made_from": content["made_from"],
        },
        **datasets,
    )
