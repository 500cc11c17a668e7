"""Balancing methods, one file each; IEMF (:mod:`iemf.modulation`) composes with any of them.

Every module of this folder is imported, so a new method is one new file with ``@register(name, label)`` on its class.
"""

import importlib
import pkgutil

from iemf.balance.base import METHODS, Accuracies, Fusing, Method, Readable, TrainingRows, register

PAPER = ("concat", "mslr", "ogm_ge", "lfm")  # in the order of its tables

for _name in dict.fromkeys((*PAPER, *(module.name for module in pkgutil.iter_modules(__path__)))):
    importlib.import_module(f"{__name__}.{_name}")

__all__ = ["METHODS", "Accuracies", "Fusing", "Method", "Readable", "TrainingRows", "register"]
