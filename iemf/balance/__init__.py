"""Balancing methods, one file each; IEMF (:mod:`.inverse_effectiveness`) composes with any of them."""

from iemf.balance.base import Accuracies, Method
from iemf.balance.concat import Concat
from iemf.balance.inverse_effectiveness import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.balance.lfm import LFM
from iemf.balance.mslr import MSLR
from iemf.balance.ogm_ge import OGMGE

METHODS: dict[str, type[Method]] = {"concat": Concat, "mslr": MSLR, "ogm-ge": OGMGE, "lfm": LFM}

__all__ = [
    "LFM",
    "METHODS",
    "MSLR",
    "OGMGE",
    "Accuracies",
    "Concat",
    "InverseEffectiveness",
    "Method",
    "ReleasedInverseEffectiveness",
]
