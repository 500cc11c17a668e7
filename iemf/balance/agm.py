"""AGM (Li et al. 2023, ICCV): slow down the modality that is further ahead than it has been so far.

    φ_a = (out(a, v) - out(0, v) + out(a, 0)) / 2,  φ_v likewise      Shapley: their sum is out(a, v); of M modalities
    φ_m = Σ_S |S|!·(M-1-|S|)!/M! · (out(S ∪ m) - out(S))              over the sets S of others, out(none) = 0
    s_m = mean cross-entropy of φ_m,  probabilities cut off at 1e-8
    r_m = exp(M/(M-1)·(mean s - s_m)),  r̂_m the same of the running means ŝ of s over all steps before
    k_m = exp(α·min(r̂_m - r_m, 7)),  α = 1
    g  <- k_m·g      for m's encoder

From the paper: φ, s, r, k. From its authors' code (lihong2303/AGM_ICCV2023): the sign of s (a modality with the lower
cross-entropy has the greater ratio, and is slowed), ŝ = 0 before the first step, α = 1 by default (2.5 in the command
of its README), the cut-offs (7 in its script for three modalities, 10 in one of those for two, none in others). There k
multiplies what flows back through φ_m, and so all parameters of m's encoder; it does here. That reaches their fusion
layer and their passes of zeroed inputs too; here it does not: fusion and heads keep their own gradient.

A zeroed input goes through the encoder, but what comes out is the same for all samples when the network evaluates, as
it does for these passes in their code. So one pass of one zeroed sample gives what both encoders answer to nothing, and
the fusion layer alone is asked anew, with the features of the step. Their code runs the whole network three times more
on the whole batch; the features of what is not zeroed are there those of evaluation, too, and here those of training.
With an adaptive optimiser k_m is on the update (:mod:`iemf.scaling`).
"""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iemf.balance.base import Fusing, Method, Readable, register
from iemf.processes import sum_over_processes

ALPHA = 1.0
LARGEST = 7.0  # of what is in the exponent of k
LEAST = 1e-8  # probability


def shapley_logits(fused: Mapping[frozenset[str], Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """φ by modality.

    Args:
        fused: logits [B, C] by the set of modalities whose inputs are there, the others zeroed; every set but the empty
            one, whose logits count as 0.
        names: of the modalities.
    """
    names = tuple(names)
    count, found = len(names), {}
    for name in names:
        parts = []
        for there, logits in fused.items():
            if name in there:
                others = there - {name}
                gain = logits - fused[others] if others else logits
                parts.append(gain / (count * math.comb(count - 1, len(others))))
        found[name] = functools.reduce(torch.add, parts)
    return found


def subsets(names: Iterable[str]) -> list[frozenset[str]]:
    """All but the empty one."""
    names = tuple(names)
    return [frozenset(part) for size in range(1, len(names) + 1) for part in itertools.combinations(names, size)]


def ratios(scores: Tensor) -> Tensor:
    """r [M] of cross-entropies s [M], M >= 2; 1 where all are alike."""
    count = len(scores)
    return torch.exp(count / (count - 1) * (scores.mean() - scores))


def coefficients(scores: Tensor, before: Tensor, alpha: float = ALPHA) -> Tensor:
    """k [M] from the step's cross-entropies s [M] and their running means ŝ [M]."""
    return torch.exp(alpha * (ratios(before) - ratios(scores)).clamp(max=LARGEST))


@register("agm", "AGM")
class AGM(Method):
    """Adaptive gradient modulation; state: the running means and how many steps they are of."""

    has_factors = needs_fuse = True
    constant = ALPHA

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.means = torch.zeros(len(network.heads), device=next(network.fusion.parameters()).device)
        self.steps = 0
        self.shapes: list[tuple[torch.Size, dict[str, Any]]] = []
        self._seen = network.register_forward_pre_hook(self._see)  # until the first pass: copies have none of it

    def _see(self, network: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.shapes = [(x.shape[1:], {"dtype": x.dtype, "device": x.device}) for x in inputs]
        self._seen.remove()

    def parameters_by_modality(self) -> dict[str, list[nn.Parameter]]:
        """Of each encoder."""
        return {m: list(encoder.parameters()) for m, encoder in self.network.encoders.items()}

    @torch.no_grad()
    def on_gradients(self, output: Readable, labels: Tensor, epoch: int) -> None:
        scores = self.scores(output, labels)
        factors = coefficients(scores, self.means, self.constant)
        for scaling, factor in zip(self.scalings.values(), factors, strict=True):
            scaling.apply(factor)
        self.steps += 1
        self.means = self.means + (scores - self.means) / self.steps

    def scores(self, output: Readable, labels: Tensor) -> Tensor:
        """s [M] of the global batch."""
        features = {m: z.float() for m, z in output.features.items()}
        silent = self.silent_features()
        silent = {m: z.float().expand_as(features[m]) for m, z in silent.items()}
        fused = {there: self.network.fuse({m: (features if m in there else silent)[m] for m in features})
                 for there in subsets(features)}  # fmt: skip
        logits = shapley_logits(fused, features)
        losses = [F.cross_entropy(each, labels, reduction="none").clamp(max=-torch.tensor(LEAST).log().item()).sum()
                  for each in logits.values()]  # fmt: skip
        sums = sum_over_processes(torch.stack([*losses, losses[0].new_tensor(float(len(labels)))]))
        return sums[:-1] / sums[-1]

    def silent_features(self) -> Mapping[str, Tensor]:
        """What the encoders make of zeroed inputs, [1, F] each."""
        trains = self.network.training
        self.network.eval()
        features = self.network(*(torch.zeros(1, *shape, **kind) for shape, kind in self.shapes)).features
        self.network.train(trains)
        return features

    def state_dict(self) -> dict:
        return {"means": self.means, "steps": self.steps}

    def load_state_dict(self, state: dict) -> None:
        self.means, self.steps = state["means"].to(self.means), state["steps"]
