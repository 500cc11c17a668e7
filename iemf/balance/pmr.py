"""PMR (Fan et al. 2023, CVPR): pull the features of the modality that lags towards the prototypes of their classes.

    c_m <- 0.2·c_m + 0.8·class means of m's features over a tenth of the training set (at least 32 samples), each epoch
    p_m(z) = softmax over classes of -‖z - c_m‖,  s_m = Σ_i p_m(z_i)[y_i],  ρ = s_a / s_v
    β = clip(1/ρ - 1, 0, 1),  γ = clip(ρ - 1, 0, 1)              β: audio lags,  γ: visual lags
    loss = L_av + α·(β·PCE_a + γ·PCE_v) - μ·(γ·H_a + β·H_v)
    PCE_m = mean of -log p_m[y],  H_m = mean entropy of p_m,  α = 1,  the term with μ in epochs 0-10 of 100

From the paper: prototypes, clipped ratios, and the entropy of the modality that is ahead. From its authors' code
(fanyunfeng-bit/Modal-Imbalance-PMR): a tenth of the training set in evaluation, drawn anew each epoch, the memory of
0.2, α = 1; there β and γ are 0 or 1, and there is no entropy. μ = 0.1 and its 11 epochs are ours: the code has neither.

Prototypes come before each epoch, by forward passes of that tenth alone. Ratios are of the global batch. A class that
no sample was drawn of has no prototype yet: it is no candidate, and its samples do not count.
"""

import math

import torch
from torch import Tensor

from iemf.balance.base import Fusing, Method, Readable, TrainingRows, register
from iemf.processes import sum_over_processes
from iemf.seeds import Stream, mix_seed

SHARE, LEAST = 0.1, 32  # of the training set, and no fewer than so many samples of it
MEMORY = 0.2
ALPHA = 1.0
ENTROPY = 0.1
LAST_EARLY_EPOCH = 10
MODALITIES = ("audio", "visual")


def log_similarities(features: Tensor, prototypes: Tensor, known: Tensor) -> Tensor:
    """log p [B, C] of features [B, F] among prototypes [C, F]; -inf for the classes that ``known`` [C] has not."""
    # The exact form: distances of 0 have a gradient of 0 in it.
    distances = torch.cdist(features, prototypes, compute_mode="donot_use_mm_for_euclid_dist")
    return (-distances).masked_fill(~known, -math.inf).log_softmax(1)


def lags(audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
    """(β, γ) from the scores s_a, s_v (0-dim, >= 0): how far audio and how far visual lag, one of them 0, at most 1."""
    ratio = torch.where((audio > 0) & (visual > 0), audio / visual, torch.ones_like(audio))
    return (1 / ratio - 1).clamp(0, 1), (ratio - 1).clamp(0, 1)


def entropy(log_p: Tensor) -> Tensor:
    """Of each row of log-probabilities [B, C], in nats, [B]; a class of probability 0 adds nothing."""
    return -(log_p.exp() * log_p.masked_fill(log_p.isneginf(), 0)).sum(1)


@register("pmr", "PMR")
class PMR(Method):
    """Prototypical rebalancing; state: the prototypes, and which classes have any."""

    has_schedule = of_two = True
    constant = ALPHA

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.seed = seed
        self.prototypes: dict[str, Tensor] = {}
        self.known: Tensor | None = None

    def on_epoch(self, epoch: int, rows: TrainingRows) -> None:
        generator = torch.Generator().manual_seed(mix_seed(Stream.PROTOTYPES, self.seed, epoch))
        order = torch.randperm(len(rows.trained), generator=generator)[: max(LEAST, round(SHARE * len(rows.trained)))]
        sums: dict[str, Tensor] = {}
        for output, labels in rows.outputs([rows.trained[place] for place in order.tolist()], epoch):
            one_hot = torch.nn.functional.one_hot(labels, output.logits.fused.shape[1]).float()
            # A column of ones behind the features counts the samples of each class.
            for modality, z in output.features.items():
                of_batch = one_hot.T @ torch.cat([z.float(), z.new_ones(len(z), 1).float()], dim=1)
                sums[modality] = sums.get(modality, 0) + of_batch
        self._take(sums)

    def _take(self, sums: dict[str, Tensor]) -> None:
        """New means into the moving ones, from sums over this process's samples, [C, F + 1] by modality."""
        for modality in MODALITIES:
            total = sum_over_processes(sums[modality])
            means, counts = total[:, :-1] / total[:, -1:].clamp(min=1), total[:, -1]
            before = self.prototypes.get(modality, means)
            known = self.known if self.known is not None else torch.zeros_like(counts, dtype=torch.bool)
            moved = torch.where(known[:, None], MEMORY * before + (1 - MEMORY) * means, means)
            self.prototypes[modality] = torch.where(counts[:, None] > 0, moved, before)
        self.known = known | (counts > 0)

    def loss(self, fused: Tensor, output: Readable, labels: Tensor, epoch: int) -> Tensor:
        if self.known is None:
            return fused
        counts = self.known[labels].float()
        log_p = {m: log_similarities(output.features[m].float(), self.prototypes[m], self.known) for m in MODALITIES}
        of_true = {m: each.gather(1, labels[:, None])[:, 0].where(counts > 0, 0) for m, each in log_p.items()}
        scores = torch.stack([(each.detach().exp() * counts).sum() for each in of_true.values()])
        weights = dict(zip(MODALITIES, lags(*sum_over_processes(scores)), strict=True))
        number = counts.sum().clamp(min=1)
        for modality, other in zip(MODALITIES, MODALITIES[::-1], strict=True):
            fused = fused - self.constant * weights[modality] * of_true[modality].sum() / number
            if self.at(epoch) <= LAST_EARLY_EPOCH:
                fused = fused - ENTROPY * weights[other] * entropy(log_p[modality]).mean()
        return fused

    def state_dict(self) -> dict:
        return {"prototypes": dict(self.prototypes), "known": self.known}

    def load_state_dict(self, state: dict) -> None:
        device = next(self.network.fusion.parameters()).device
        self.prototypes = {modality: each.to(device) for modality, each in state["prototypes"].items()}
        self.known = None if state["known"] is None else state["known"].to(device)
