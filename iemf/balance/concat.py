"""Concat ("Normal" in the paper): the task's own loss of the fused logits, nothing more (Eq. 5)."""

from iemf.balance.base import Method, register


@register("concat", "Concat")
class Concat(Method):
    """What every other method is compared with."""
