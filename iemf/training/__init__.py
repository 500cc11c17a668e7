"""The loop, its checkpoints and the record of a run."""

from iemf.training.loop import Trainer, TrainingOptions
from iemf.training.record import RunFolder

__all__ = ["RunFolder", "Trainer", "TrainingOptions"]
