"""The methods of class-incremental learning, one file each."""

from iemf.continual.methods.av_cil import AVCIL
from iemf.continual.methods.base import Method, Step
from iemf.continual.methods.fine_tuning import FineTuning
from iemf.continual.methods.lwf import LwF
from iemf.continual.methods.ssil import SSIL

METHODS: dict[str, type[Method]] = {"fine-tuning": FineTuning, "lwf": LwF, "ssil": SSIL, "av-cil": AVCIL}

__all__ = ["AVCIL", "METHODS", "SSIL", "FineTuning", "LwF", "Method", "Step"]
