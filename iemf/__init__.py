"""IEMF: inverse-effectiveness-driven multimodal fusion (He et al. 2025), for artificial and spiking networks."""

from iemf.coefficient import inverse_effectiveness, modality_strength
from iemf.modulation import InverseEffectiveness

__version__ = "0.1.0"
__all__ = ["InverseEffectiveness", "inverse_effectiveness", "modality_strength"]
