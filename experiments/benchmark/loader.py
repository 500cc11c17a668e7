"""Samples a core reads in a second: from the raw files, decoded each time, and from prepared shards.

The clips are made on the spot, real encoded files of the sizes of CREMA-D and Kinetics-Sounds; both sides return the
same training samples (random frames, crop and flip at 224 x 224, three seconds of sound), in one process and thread.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from tqdm import tqdm

from experiments.sweep.table import table_lines
from iemf.data.clip import Clip
from iemf.data.clips import Clips, View
from iemf.data.preparation.encode import Form
from iemf.data.preparation.listing import Listing
from iemf.data.preparation.run import prepare
from iemf.data.sets.folder import Files
from iemf.data.sets.prepared import Shards

FRAMES = (1, 3, 16)


@dataclass(frozen=True)
class Kind:
    """Clips like those of a data set."""

    name: str
    suffix: str
    codecs: tuple[str, str]
    size: tuple[int, int]  # width, height in pixels
    seconds: float
    bit_rate: int
    sound_beside: bool  # a .wav of 16 kHz, instead of a track in the film


KINDS = (
    Kind("like CREMA-D: 2.5 s, .flv 480 x 360, .wav", ".flv", ("flv", "libmp3lame"), (480, 360), 2.5, 1_000_000, True),
    Kind("like Kinetics-Sounds: 10 s, .mp4 340 x 256", ".mp4", ("libx264", "aac"), (340, 256), 10.0, 500_000, False),
)


def write_clip(folder: Path, name: str, kind: Kind, seed: int) -> Clip:
    """A film of drifting texture with grain, 30 frames a second, and noise to hear."""
    rng = np.random.default_rng(seed)
    width, height = kind.size
    coarse = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    grain = rng.integers(0, 12, (4, height, width, 3), dtype=np.uint8)
    rate = 44100
    noise = rng.normal(0, 0.1, round(kind.seconds * rate)).astype(np.float32)
    path = folder / f"{name}{kind.suffix}"
    with av.open(str(path), "w") as container:
        video = container.add_stream(kind.codecs[0], rate=30)
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", kind.bit_rate
        sound = container.add_stream(kind.codecs[1], rate=rate, layout="mono")
        for i in range(round(30 * kind.seconds)):
            shift = i % 16
            pixels = texture[shift : shift + height, shift : shift + width] // 2 + grain[i % 4]
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(noise[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    if not kind.sound_beside:
        return Clip(name, seed % 2, path, (path,))
    beside = path.with_suffix(".wav")
    soundfile.write(beside, noise[: round(kind.seconds * 16000)], 16000)
    return Clip(name, seed % 2, beside, (path,))


def sources(kind: Kind, count: int, folder: Path) -> tuple[Files, Shards, dict]:
    """(the raw files, the shards made from them, bytes a clip raw and prepared and clips prepared in a second)."""
    raw, out = folder / "raw", folder / "prepared"
    raw.mkdir(parents=True)
    clips = [write_clip(raw, f"clip{i}", kind, i) for i in range(count)]
    began = time.perf_counter()
    prepare(Listing(("a", "b"), {"train": clips}), raw, out, "folder", Form(), 1, 0.0, progress=False)
    rate = count / (time.perf_counter() - began)
    shards = sorted((out / "shards").iterdir())
    sizes = [sum(path.stat().st_size for path in files) / count for files in (raw.iterdir(), shards)]
    return Files(clips), Shards(shards), {"bytes_raw": sizes[0], "bytes_prepared": sizes[1], "prepare": rate}


def seconds_of(read: Callable[[int], object], indices: Sequence[int]) -> float:
    """Seconds that ``read`` takes for all ``indices``."""
    began = time.perf_counter()
    for index in indices:
        read(index)
    return time.perf_counter() - began


def measure(repeats: int, count: int = 12, rounds: int = 10) -> list[dict]:
    """One record for each kind of clip and number of frames: samples a second of every repeat, raw and prepared.

    Args:
        repeats: turns; raw and prepared take turns.
        count: clips of each kind.
        rounds: times that the prepared clips are read in a turn: they are over too soon to be timed once.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    records = []
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            tqdm(total=len(KINDS) * len(FRAMES) * repeats, disable=None) as bar,
        ):
            for number, kind in enumerate(KINDS):
                raw, prepared, about = sources(kind, count, Path(folder) / str(number))
                for frames in FRAMES:
                    view = View(frames=frames)
                    slow, fast = (Clips(source, range(count), view, training=True) for source in (raw, prepared))
                    seconds_of(fast.__getitem__, range(count))  # opens the shards
                    record = {"kind": kind.name, "frames": frames, "raw": [], "prepared": [], **about}
                    for _ in range(repeats):
                        record["raw"].append(count / seconds_of(slow.__getitem__, range(count)))
                        often = [index for _ in range(rounds) for index in range(count)]
                        record["prepared"].append(len(often) / seconds_of(fast.__getitem__, often))
                        bar.update()
                    records.append(record)
    finally:
        torch.set_num_threads(threads)
    return records


def markdown(records: list[dict]) -> str:
    """The table, and a line on how it came about."""
    header = ["clips", "frames", "raw, samples/s", "prepared, samples/s", "ratio", "a clip on disk, raw → prepared",
              "preparing, clips/s"]  # fmt: skip
    rows = []
    for record in records:
        raw, prepared = statistics.median(record["raw"]), statistics.median(record["prepared"])
        sizes = " → ".join(f"{record[key] / 1000:.0f} kB" for key in ("bytes_raw", "bytes_prepared"))
        spread = f"{min(record['prepared']):.0f} – {max(record['prepared']):.0f}"
        rows.append([record["kind"], str(record["frames"]), f"{raw:.1f}", f"{prepared:.0f} ({spread})",
                     f"{prepared / raw:.0f}", sizes, f"{record['prepare']:.0f}"])  # fmt: skip
    repeats = len(records[0]["raw"])
    note = f"One process, one thread; medians of {repeats} turns (minimum – maximum), torch {torch.__version__}, "
    note += (
        f"PyAV {av.__version__}. Both read the same samples: 224 x 224 crops and 3 s of sound; 16 frames are stored."
    )
    return f"{table_lines(header, rows)}\n\n{note}\n"
