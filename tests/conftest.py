"""Shared fixtures: small networks, small trees of real files."""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import settings
from PIL import Image

from iemf.fusion import ConcatFusion
from iemf.network import AudioVisualNetwork
from iemf.pool import available_cores

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `experiments` is run from the checkout, as the README says

# List and question files of the public data sets; tests that parse them whole are skipped where they are not.
OFFICIAL = Path(os.environ.get("IEMF_OFFICIAL_LISTS", ROOT.parent / "shared" / "data"))

# Of several processes each takes its share of the cores, and so do the programs that they start.
if (workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))) > 1:
    threads = max(1, available_cores() // workers)
    torch.set_num_threads(threads)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("ci")


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


class LinearEncoder(torch.nn.Module):
    """[B, 1, 2, 2] -> [B, 3]; a convolution over the whole image, so that OGM-GE has a 4-D weight to change."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 3, 2)
        self.features = 3

    def forward(self, x):
        return self.conv(x).flatten(1)


@pytest.fixture
def make_network():
    """Tiny audio-visual networks, all with the same weights for the same seed."""

    def make(classes=3, joint=True, fusion=ConcatFusion, seed=0):
        torch.manual_seed(seed)
        audio, visual = LinearEncoder(), LinearEncoder()
        return AudioVisualNetwork(audio, visual, fusion(3, classes), 3, classes, joint)

    return make


@pytest.fixture
def batch():
    """Audio and visual [5, 1, 2, 2] and labels of three classes."""
    generator = torch.Generator().manual_seed(7)
    audio, visual = (torch.randn(5, 1, 2, 2, generator=generator) for _ in range(2))
    return audio, visual, torch.tensor([0, 1, 2, 0, 1])


@pytest.fixture
def accelerator(request):
    """On the CPU, or as an indirect parameter says; its state is the whole process's, so it is forgotten afterwards."""
    gc.freeze()  # Accelerate collects garbage when a task is let go of, and would search all imported modules each time
    yield Accelerator(**getattr(request, "param", {"cpu": True}))
    gc.unfreeze()
    AcceleratorState._reset_state(reset_partial_state=True)


def write_clip(folder: Path, name: str, seed: int, pitch: float) -> None:
    """A real sound file (a tone in noise) and a real picture beside it."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(8000) / 16000
    wave = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.02 * rng.standard_normal(len(time))
    soundfile.write(folder / f"{name}.wav", wave.astype(np.float32), 16000)
    pixels = rng.integers(0, 80, (40, 48, 3), dtype=np.uint8)
    pixels[:, :, seed % 3] += np.uint8(pitch / 20)
    Image.fromarray(pixels).save(folder / f"{name}.png")


@pytest.fixture
def tree(tmp_path):
    """A folder data set of two classes: 8 training and 3 test clips each, no val."""
    root = tmp_path / "data"
    for label, pitch in (("high", 1600.0), ("low", 300.0)):
        for split, count in (("train", 8), ("test", 3)):
            for i in range(count):
                write_clip(root / split / label, f"clip {i} é", seed=100 * count + i, pitch=pitch)
    return root
