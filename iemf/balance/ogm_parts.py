"""The two parts of OGM-GE, each alone: which of them does what (Peng et al. 2022 leave out the noise likewise)."""

from iemf.balance.base import register
from iemf.balance.ogm_ge import OGMGE


@register("ogm", "OGM")
class OGM(OGMGE):
    """The slowing without the noise."""

    noisy = False


@register("ge", "GE")
class GE(OGMGE):
    """The noise without the slowing, on the weights of both encoders; any fusion will do."""

    has_factors = needs_split = slows = False
    constant = None
