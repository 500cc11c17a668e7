"""Concat ("Normal" in the paper): cross-entropy on the fused logits, nothing more (Eq. 5)."""

from iemf.balance.base import Method, register


@register("concat", "Concat")
class Concat(Method):
    """loss = CE(fused); what every other method is compared with."""
