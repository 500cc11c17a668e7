"""The stage (what is trained), the step, the loop, checkpoints and the record of a run."""

from iemf.training.loop import Trainer, TrainingOptions
from iemf.training.record import RunFolder
from iemf.training.stage import Evidence, Outcome, Stage, StageDefaults
from iemf.training.step import Step, Window

__all__ = ["Evidence", "Outcome", "RunFolder", "Stage", "StageDefaults", "Step", "Trainer", "TrainingOptions", "Window"]
