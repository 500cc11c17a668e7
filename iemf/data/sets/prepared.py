"""A data set that ``iemf prepare`` made: shards of decoded sound and JPEG frames, memory-mapped."""

import bisect
from pathlib import Path

from torch import Tensor

from iemf.data import audio
from iemf.data.assemble import assemble
from iemf.data.base import AudioVisualData
from iemf.data.clips import Choose, View
from iemf.data.preparation import manifest
from iemf.data.preparation.manifest import is_prepared
from iemf.data.preparation.shard import Shard
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


def load(root: Path, dataset: str, view: View = View(), **options) -> AudioVisualData:  # noqa: B008  immutable
    """The prepared data set ``dataset`` under ``root``.

    Args:
        root: the prepared folder.
        dataset: its name; another one's folder is refused.
        view: no more sound and frames than are stored.
        options: seed, noise, test_noise and spectrogram and split_seed of :func:`iemf.data.assemble.assemble`.

    Raises:
        UserError: not prepared to the end, damaged, or stored with less than ``view`` asks for.
    """
    content = manifest.read(root, dataset)
    if view.seconds > content["form"]["seconds"]:
        raise UserError(f"{root} was prepared with {content['form']['seconds']:g} s of sound, `seconds` "
                        f"{view.seconds:g} is more; prepare it anew with `seconds` {view.seconds:g}")  # fmt: skip
    if view.frames > content["form"]["frames"]:
        raise UserError(f"{root} was prepared with {content['form']['frames']} frame(s) of a clip, `frames` "
                        f"{view.frames} is more; prepare it anew with `frames` {view.frames}")  # fmt: skip
    sources = {
        split: Shards([root / manifest.SHARDS / s["file"] for s in content["shards"] if s["split"] == split])
        for split in content["clips"]
    }
    about = {"skipped": content["skipped"], "made_from": content["made_from"]}
    return assemble(dataset, content["classes"], sources, root, view=view, about=about, **options)
