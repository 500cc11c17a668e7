"""Small instances of every program that writes: what they are fed, and what must be alike after a kill."""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import av
import numpy as np
import soundfile
import torch
from PIL import Image

from experiments.avqa import data as qa_data
from experiments.avqa import encoders
from experiments.sweep import command_line, execution
from iemf.avqa import av_digits_qa
from iemf.data.preparation import run as preparation
from iemf.data.sets import av_digits
from iemf.errors import UserError
from iemf.pool import Done

SPLITS = {"train": 24, "val": 8, "test": 8}  # samples a digit
SCENES = {"train": 40, "val": 10, "test": 12}
COUNTS = {"train": 1, "val": 1, "test": 1}  # films a class
CLASSES = 28  # of AVE-CI
VIDEO = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12, "image_size": 32,
         "num_frames": 16}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A command line without its --out, and which task's it is."""

    name: str
    task: str
    program: str
    options: Callable[[Path], list[str]]  # from the folder of data


SHORT = ["--seeds", "0", "--no-progress", "--epochs", "2"]
PROGRAMS = (
    Program("train, ANN, OGM-GE with IEMF", "classification", "classification", lambda data: [
        "--method", "ogm-ge", "--iemf", "--epochs", "4", "--width", "2", "--batch-size", "80", "--no-progress",
        "--resume"]),
    Program("train, SNN, concat with IEMF", "classification", "classification", lambda data: [
        "--network", "snn", "--time-steps", "2", "--iemf", "--epochs", "2", "--width", "2", "--batch-size", "80",
        "--no-progress", "--resume"]),
    Program("sweep of 3 runs", "classification", "compare", lambda data: [
        *SHORT, "--methods", "mslr", "--networks", "ann", "--width", "2", "--batch-size", "80"]),
    Program("sweep of 2 runs", "continual", "continual", lambda data: [
        *SHORT, "--methods", "av-cil", "--networks", "ann", "--variants", "joint", "iemf", "--features", "4",
        "--batch-size", "24"]),
    Program("sweep of 2 runs in two stages", "question answering", "avqa", lambda data: [
        *SHORT, "--models", "st-avqa", "--networks", "ann", "--variants", "joint", "iemf", "--width", "4",
        "--batch-size", "64", "--cache", str(data / "qa")]),
    Program("prepare", "data", "prepare", lambda data: [
        "folder", "--source", str(data / "clips"), "--jobs", "1", "--no-progress"]),
    Program("extract", "data", "extract", lambda data: [
        "--task", "continual", "--dataset", "ave-ci", "--source", str(data / "films"), "--lists", str(data / "lists"),
        "--video-mae", str(data / "video-mae"), "--audio-mae", str(data / "audio-mae"), "--workers", "0",
        "--no-progress", "--batch-size", "4"]),
)  # fmt: skip


def in_this_process(function, jobs, processes, **options) -> Iterator[Done]:
    """:func:`iemf.pool.in_processes` without processes, so that one kill ends all."""
    for job in jobs:
        try:
            yield Done(job, function(job), None)
        except UserError as error:
            yield Done(job, None, error)


@contextlib.contextmanager
def small() -> Iterator[None]:
    """AV-Digits with few digits, scenes and shards, and sweeps in this process."""
    with (
        mock.patch.dict(av_digits.SPLIT_PER_DIGIT, SPLITS),
        mock.patch.dict(av_digits_qa.SCENES, SCENES),
        mock.patch.object(encoders, "EPOCHS", 1),
        mock.patch.object(preparation, "CLIPS_A_SHARD", 4),
        mock.patch.object(execution, "in_processes", in_this_process),
    ):
        yield


def call(program: Program, data: Path, out: Path) -> int:
    """Run it in this process, silently; its exit code."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        try:
            command_line.run_program(program.program, [*program.options(data), "--out", str(out)])
        except SystemExit as stop:
            if stop.code:
                out.with_suffix(".stderr").write_text(told.getvalue())
            return stop.code or 0
    return 0


def make_data(folder: Path) -> None:
    """What the programs read."""
    rng = np.random.default_rng(0)
    qa_data.make_if_missing(folder / "qa", progress=False)
    for split, count in (("train", 12), ("test", 4)):
        for label in "ab":
            place = folder / "clips" / split / label
            place.mkdir(parents=True)
            for number in range(count):
                soundfile.write(place / f"{number}.wav", rng.normal(0, 0.1, 8000), 16000)
                Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(place / f"{number}.png")
    videos = {split: {c: [f"{split}{c}_{i}" for i in range(n)] for c in range(CLASSES)} for split, n in COUNTS.items()}
    for name in ("films", "lists"):
        (folder / name).mkdir()
    np.save(folder / "lists" / "all_classId_vid_dict.npy", videos)
    np.save(folder / "lists" / "category_encode_dict.npy", {f"class {c}": c for c in range(CLASSES)})
    for by_class in videos.values():
        for names in by_class.values():
            for name in names:
                write_film(folder / "films" / f"{name}.mp4", rng)
    write_encoders(folder)


def write_film(path: Path, rng: np.random.Generator) -> None:
    """Four pictures and 0.4 s of noise."""
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("mpeg4", rate=10), container.add_stream("aac", rate=16000, layout="mono")
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (32, 32, 3), np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        wave = av.AudioFrame.from_ndarray(rng.normal(0, 0.1, (1, 6400)).astype(np.float32), "fltp", "mono")
        wave.sample_rate, wave.pts = 16000, 0
        container.mux(sound.encode(wave))
        container.mux(sound.encode())


def write_encoders(folder: Path) -> None:
    """A VideoMAE and an AudioMAE of one layer with random weights, as the hub has them."""
    import timm
    from timm.models import save_for_hf
    from transformers import VideoMAEConfig, VideoMAEModel

    from iemf.features import audio_mae

    torch.manual_seed(0)
    VideoMAEModel(VideoMAEConfig(**VIDEO)).save_pretrained(folder / "video-mae")
    arguments = audio_mae.BASE | {"depth": 1}
    network = timm.create_model("vit_tiny_patch16_224", **arguments)
    save_for_hf(network, str(folder / "audio-mae"), model_args=arguments, safe_serialization=True)
