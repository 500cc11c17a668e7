"""G-Blending (Wang et al. 2020, CVPR): weight the losses by how well what each of them learns generalises.

    loss = Σ_k w_k·L_k,  k = av, a, v,  Σ w = 1
    w_k ∝ |G_k| / O_k²,  G = L^V(0) - L^V(n),  O = (L^V(n) - L^T(n)) - (L^V(0) - L^T(0))

L^T and L^V are cross-entropies of samples that are trained on and of samples that are not; n epochs, a super-epoch, lie
between. For each k a copy of the network learns L_k alone for them, all from the same start; then the run itself takes
them with the new weights (the paper's online form). So a super-epoch costs four times its own steps. 10 epochs of 100.

From the paper: the ratio, its online form, and that what is not trained on is a part of the training set: a tenth here,
which the method keeps to itself (no epoch and no option is chosen on it). Open there, and ours: L^T is of as many
trained samples as are held, in evaluation; a copy's optimiser starts without a memory, at the run's learning rate of
that moment; O² is at least 1e-6, so that a loss with a gap that did not grow takes the greatest share, not nan.

It weights the heads' losses, so a vanilla run has them too, and is the same as one with joint learning. With Adam a
common factor of all losses means nothing, and the ratio of the weights still does.
"""

import torch
from torch import Tensor

from iemf.balance.base import Fusing, Method, TrainingRows, register
from iemf.logits import FUSED
from iemf.processes import sum_over_processes
from iemf.seeds import Stream, mix_seed

SUPER_EPOCH = 10.0  # of 100 epochs
HELD_OUT = 0.1
LEAST_OVERFITTING = 1e-6  # squared

Losses = dict[str, tuple[float, float]]  # (trained, held) by the loss's name


def blend(before: Losses, behind: Losses) -> dict[str, float]:
    """w by name, from the losses on trained and on held samples before and behind a super-epoch.

    All alike where nothing has changed on the held samples.
    """
    ratios = {}
    for name, (trained, held) in before.items():
        trained_now, held_now = behind[name]
        overfitting = (held_now - trained_now) - (held - trained)
        ratios[name] = abs(held - held_now) / max(overfitting**2, LEAST_OVERFITTING)
    total = sum(ratios.values())
    return {name: ratio / total if total > 0 else 1 / len(ratios) for name, ratio in ratios.items()}


@register("g-blending", "G-Blending")
class GBlending(Method):
    """Blend the losses; state: the weights, and of which super-epoch they are."""

    needs_heads = needs_optimizer = has_schedule = True
    held_out = HELD_OUT
    constant = SUPER_EPOCH

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.seed = seed
        names = (FUSED, *network.heads)
        self.weights = dict.fromkeys(names, 1 / len(names))
        self.super_epoch = -1  # none yet
        self.optimizer: torch.optim.Optimizer | None = None

    def use_optimizer(self, optimizer: torch.optim.Optimizer, scale: str | None = None) -> None:
        """Say whose kind trains the copies."""
        self.optimizer = optimizer

    def on_epoch(self, epoch: int, rows: TrainingRows) -> None:
        number = int(self.at(epoch) // self.constant)
        if number == self.super_epoch or not rows.held:
            return
        if self.optimizer is None:
            raise ValueError("G-Blending trains copies of the network; call use_optimizer first")
        last = epoch + 1
        while int(self.at(last) // self.constant) == number and last != self.epochs:
            last += 1
        before, behind = self.losses(rows, epoch), {}
        for name in self.weights:
            learnt = rows.alone(name, range(epoch, last), self.optimizer)
            behind[name] = self.losses(learnt, epoch)[name]
        self.weights, self.super_epoch = blend(before, behind), number

    def losses(self, rows: TrainingRows, epoch: int) -> Losses:
        """Mean cross-entropies by name."""
        generator = torch.Generator().manual_seed(mix_seed(Stream.HELD_OUT, self.seed))
        places = torch.randperm(len(rows.trained), generator=generator)[: len(rows.held)].tolist()
        parts = [self._mean(rows, part, epoch) for part in ([rows.trained[p] for p in places], rows.held)]
        return {name: (parts[0][i], parts[1][i]) for i, name in enumerate(self.weights)}

    def _mean(self, rows: TrainingRows, part: list[int], epoch: int) -> list[float]:
        sums = torch.zeros(len(self.weights) + 1, device=next(self.network.fusion.parameters()).device)
        for output, labels in rows.outputs(part, epoch):
            named = output.logits.named()
            losses = [len(labels) * self.cross_entropy(named[name].float(), labels) for name in self.weights]
            sums += torch.stack([*losses, losses[0].new_tensor(float(len(labels)))])
        totals = sum_over_processes(sums)
        return (totals[:-1] / totals[-1]).tolist()

    def weighted(self, losses: dict[str, Tensor], epoch: int) -> dict[str, Tensor]:
        return {name: self.weights[name] * loss for name, loss in losses.items()}

    def state_dict(self) -> dict:
        return {"weights": dict(self.weights), "super_epoch": self.super_epoch}

    def load_state_dict(self, state: dict) -> None:
        self.weights, self.super_epoch = dict(state["weights"]), state["super_epoch"]
