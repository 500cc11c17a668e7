"""What was prepared, to look at: a clip of each class as training finds it, frames beside spectrogram."""

from pathlib import Path

import torch
from matplotlib.axes import Axes

from iemf.analysis.figure import panels, save
from iemf.data import audio
from iemf.data.clips import spread
from iemf.data.preparation import manifest
from iemf.data.sets import prepared

ROWS, FRAMES = 8, 3


def preview(root: Path, content: dict, path: Path) -> None:
    """Draw the first training clip of up to eight classes, evenly spaced among all, into ``path``.

    Args:
        root: a prepared folder.
        content: its manifest.
        path: the PNG.
    """
    shards = [root / manifest.SHARDS / shard["file"] for shard in content["shards"] if shard["split"] == "train"]
    source, classes = prepared.Shards(shards), content["classes"]
    labels = spread(len(classes), [0.5] * min(len(classes), ROWS))
    count = min(FRAMES, content["form"]["frames"])
    size = (3 + 2 * count, 1.5 * len(labels) + 0.9)
    figure, axes = panels(len(labels), count + 1, size, width_ratios=[*[1] * count, 2])
    for row, label in zip(axes, labels, strict=True):
        seconds = content["form"]["seconds"]
        wave, frames = source.read(source.labels.index(label), lambda stored: spread(stored, [0.5] * count), seconds)
        for axis, frame in zip(row, frames, strict=False):
            axis.imshow(frame.permute(1, 2, 0))
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(classes[label], fontsize=9)
        draw_spectrogram(row[-1], wave)
    axes[-1, -1].set_xlabel("time / s", fontsize=8)
    counts = ", ".join(f"{about['total']} {split}" for split, about in content["clips"].items())
    shown = f"a training clip of {len(labels)} of {len(classes)} classes"
    figure.suptitle(f"{content['dataset']}: {counts}\n{shown}", fontsize=10)  # in two lines: a single frame is narrow
    save(figure, path)


def draw_spectrogram(axis: Axes, wave: torch.Tensor) -> None:
    """log(|STFT| + 1e-7) of a wave [n], as the audio encoder sees it, over seconds and kHz."""
    spectrogram = audio.LogSpectrogram()(audio.to_float(wave)[None])[0, 0]
    extent = (0, len(wave) / audio.SAMPLE_RATE, 0, audio.SAMPLE_RATE / 2000)
    axis.imshow(spectrogram, origin="lower", aspect="auto", extent=extent, vmin=-10, vmax=5)
    axis.yaxis.tick_right()
    axis.yaxis.set_label_position("right")
    axis.set_ylabel("kHz", fontsize=8)
    axis.tick_params(labelsize=7)
