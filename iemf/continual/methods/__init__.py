"""The methods of class-incremental learning, one file each."""

from iemf.continual.methods.base import METHODS, ContinualMethod, ContinualStep, register
from iemf.continual.methods.fine_tuning import FineTuning
from iemf.continual.methods.lwf import LwF
from iemf.continual.methods.ssil import SSIL

from iemf.continual.methods.av_cil import AVCIL  # isort: skip  METHODS has the order of the tables

__all__ = ["AVCIL", "METHODS", "SSIL", "ContinualMethod", "ContinualStep", "FineTuning", "LwF", "register"]
