"""From the clips of each split to a data set ready to train on: what files and prepared shards have in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from iemf.data.audio import SpectrogramForm
from iemf.data.base import AudioVisualData
from iemf.data.clips import SPLITS, Clips, ClipSource, FrontEnd, View
from iemf.data.noise import Noise
from iemf.data.split import draw_validation


def assemble(
    name: str,
    classes: Sequence[str],
    sources: Mapping[str, ClipSource],
    root: Path,
    seed: int = 0,
    view: View = View(),  # noqa: B008  immutable
    noise: Noise = Noise(),  # noqa: B008
    test_noise: Noise | None = None,
    spectrogram: SpectrogramForm = SpectrogramForm(),  # noqa: B008
    split_seed: int = 0,
    about: Mapping | None = None,
) -> AudioVisualData:
    """Splits with noise, the front end, and the record of where they come from.

    Args:
        name: of the data set.
        classes: names in the order of the labels.
        sources: clips of "train" and "test"; without "val" a tenth of each class of "train" is set aside.
        root: where they lie, for the record.
        seed: of the augmentation and of the training noise.
        view: frames, their size and the length of the sound; one frame gives visual [B, 3, H, W], N [B, N, 3, H, W].
        noise: signal-to-noise ratios of train and val.
        test_noise: those of test; by default the same.
        spectrogram: what the audio encoder sees.
        split_seed: of the validation split, which is the same for every ``seed``.
        about: what else the record is to say.

    Raises:
        UserError: validation is to be drawn from a class of one clip.
    """
    rows: dict[str, Sequence[int]] = {split: range(len(source.labels)) for split, source in sources.items()}
    if "val" not in sources:
        sources = {**sources, "val": sources["train"]}
        aside = draw_validation(sources["train"].labels, classes, split_seed)
        rows["train"], rows["val"] = (
            [row for row, chosen in enumerate(aside) if chosen == val] for val in (False, True)
        )
    noises = {"train": noise, "val": noise, "test": test_noise or noise}
    datasets = {
        split: Clips(sources[split], rows[split], view, split == "train", seed, noises[split], SPLITS.index(split))
        for split in rows
    }
    return AudioVisualData(
        name=name,
        classes=tuple(classes),
        audio_channels=1,
        visual_channels=3,
        front_end=FrontEnd(spectrogram),
        set_epoch=lambda epoch: setattr(datasets["train"], "epoch", epoch),
        about={"root": str(root), "clips": {split: len(data) for split, data in datasets.items()}, **(about or {})},
        **datasets,
    )
