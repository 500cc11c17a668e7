"""What training on a folder of one's own defaults to: enough steps, however few clips there are.

The paper's rate, 0.005 without momentum, is made for 100 epochs of 6698 clips, 21,000 steps. A folder of some hundred
clips has learnt next to nothing by then. docs/datasets.md has what these were chosen by.
"""

import functools
from pathlib import Path
from typing import Any

from iemf.data.sets import folder

RATE = {"optimizer": "sgd", "lr": 2e-2, "momentum": 0.9, "schedule": "cosine"}
STEPS = 400  # at least
EPOCHS = 20  # at least: of large folders, where an epoch has many steps
LONGEST_WARMUP = 100  # steps; a tenth of the training where that is less
OF_SIZE = ("epochs", "warmup")  # options whose default depends on how many clips there are


def defaults_for(root: Path | None, digest: str | None, batch_size: int, epochs: int | None) -> dict[str, Any]:
    """Optimiser, rate, schedule, warm-up and epochs.

    Args:
        root: the tree, or what was prepared from it.
        digest: the mark of its state; None where there is no such folder, and then of a folder of no size.
        batch_size: of the run.
        epochs: of the run, where it says so.
    """
    clips = _training_clips(root, digest) if digest is not None else 0
    steps = max(1, -(-clips // batch_size))
    epochs = epochs or max(EPOCHS, -(-STEPS // steps))
    return RATE | {"epochs": epochs, "warmup": min(LONGEST_WARMUP, steps * epochs // 10)}


@functools.lru_cache(maxsize=4)
def _training_clips(root: Path, digest: str) -> int:
    """Counted once for all runs of a grid."""
    return folder.clip_counts(root)["train"]
