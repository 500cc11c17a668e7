"""MMPareto (Wei & Hu 2024, ICML): unimodal losses help the encoders without working against the multimodal one.

    g_av, g_m: gradients on all of m's encoder, Θ_m, of the fused loss and of m's own
    (w_av, w_m) = (1/2, 1/2)  if g_av·g_m > 0,  else  argmin ‖w_av·g_av + w_m·g_m‖,  w_av + w_m = 1, both >= 0
    h = 2·w_av·g_av + 2·w_m·g_m
    g  <- 1.5 · max(1, ‖g_av + g_m‖ / ‖h‖) · h      ‖·‖ of each tensor alone

From the paper: the two branches and the minimum-norm weights. From its authors' code (GeWu-Lab/MMPareto_ICML2024): that
cosines are of the whole encoder and norms of each tensor, and γ = 1.5. Heads and fusion keep their own gradient.

Two choices are ours. Their solver puts 0.001 and 0.999 where one gradient is 0; here a gradient of 0 is in nobody's way
and the weights are equal. And where h is 0 but for rounding, its direction means nothing and it is not lengthened.

It is a rule for L_av + L_a + L_v, so a vanilla run has these losses too, and is the same as one with joint learning.
The unimodal gradients are a backward pass of their own from the features that the one forward pass has made; the usual
one gives the sum, and g_av is the difference. With an adaptive optimiser 1.5 is on the update (:mod:`iemf.scaling`);
the direction and the norm are the gradient's, and such an optimiser sees to the norm itself.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from iemf.balance.base import Fusing, Method, Readable, register
from iemf.processes import sum_over_processes

MAGNITUDE = 1.5
ROUNDING = 1e-6  # of float32, in a sum


def pareto_weights(fused: Tensor, product: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """(w_av, w_m), 0-dim, from g_av·g_av, g_av·g_m and g_m·g_m."""
    conflict = (product <= 0) & (fused > 0) & (own > 0)
    weight = ((own - product) / (fused + own - 2 * product)).clamp(0, 1)
    weight = torch.where(conflict, weight, torch.full_like(weight, 0.5))
    return weight, 1 - weight


def integrated(fused: Tensor, own: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    """h of one tensor's gradients g_av and g_m, at least as long as their sum."""
    h = 2 * weights[0] * fused + 2 * weights[1] * own
    length, plain = h.norm(), (fused + own).norm()
    stretch = torch.where(length > ROUNDING * (fused.norm() + own.norm()), plain / length, torch.ones_like(length))
    return h * stretch.clamp(min=1)


@register("mmpareto", "MMPareto")
class MMPareto(Method):
    """Integrate the gradients of the fused and of the unimodal loss on each encoder; it has no state."""

    has_factors = needs_heads = True
    constant = MAGNITUDE

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.own: dict[nn.Parameter, Tensor] = {}  # g_m of the step

    def parameters_by_modality(self) -> dict[str, list[nn.Parameter]]:
        """Of each encoder."""
        return {m: list(encoder.parameters()) for m, encoder in self.network.encoders.items()}

    def before_backward(self, losses: Mapping[str, Tensor], scale: Callable[[Tensor], Tensor]) -> None:
        """Take the gradients of the unimodal losses, each of which reaches its own encoder alone."""
        parameters = [p for of in self.parameters_by_modality().values() for p in of if p.requires_grad]
        if not parameters:
            return
        loss = scale(sum(losses[modality] for modality in self.network.heads))
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        reached = [(p, g) for p, g in zip(parameters, found, strict=True) if g is not None]
        # Replicas have the mean of their gradients behind backward; the scale is told apart from it by a loss of 1.
        one = scale(loss.new_ones(1))
        flat = sum_over_processes(torch.cat([*(g.flatten().float() for _, g in reached), one]))
        parts = (flat[:-1] / flat[-1]).split([g.numel() for _, g in reached])
        self.own = {p: part.view_as(g) for (p, g), part in zip(reached, parts, strict=True)}

    @torch.no_grad()
    def on_gradients(self, output: Readable, labels: Tensor, epoch: int) -> None:
        for scaling in self.scalings.values():
            own = {p: self.own[p] for p in scaling.parameters if p in self.own and p.grad is not None}
            if not own:
                continue
            fused = {p: p.grad - g for p, g in own.items()}
            a, b = (torch.cat([g.flatten() for g in each.values()]) for each in (fused, own))
            weights = pareto_weights(a @ a, a @ b, b @ b)
            for p, g in own.items():
                p.grad.copy_(integrated(fused[p], g, weights))
            scaling.apply(self.constant)
        self.own = {}
