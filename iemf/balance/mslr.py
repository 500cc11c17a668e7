"""MSLR (Yao & Mihalcea 2022): each modality learns at its own rate.

    g_m <- c_m · ρ_m · g_m    for encoder and head of m = audio, visual;  c_a = 0.9, c_v = 1.1
    ρ_m = acc_m / mean(acc_m of the previous 5 epochs);  1 until there are 5;  in epochs 0-50

acc_m is the validation accuracy of m's head after the latest epoch. The first one with 5 before it is that of epoch 5
(from 0), so ρ first differs from 1 in training epoch 6.
"""

import torch
from torch import Tensor

from iemf.balance.base import Accuracies, Fusing, Method, Readable, register

RATE = {"audio": 0.9, "visual": 1.1}
MEMORY = 5
LAST_EPOCH = 50


def accuracy_ratio(history: list[float]) -> float:
    """ρ from the validation accuracies so far (percent, latest last); 1 before there are MEMORY earlier ones.

    Where the earlier epochs' mean is 0 there is nothing to compare with, and ρ = 1.
    """
    if len(history) <= MEMORY:
        return 1.0
    mean = sum(history[-MEMORY - 1 : -1]) / MEMORY
    return history[-1] / mean if mean > 0 else 1.0


@register("mslr", "MSLR")
class MSLR(Method):
    """Scale encoder and head gradients by the modality's rate; state: the history of validation accuracies."""

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.history: dict[str, list[float]] = {modality: [] for modality in RATE}
        self.modules = {modality: (network.encoders[modality], network.heads[modality]) for modality in RATE}

    def on_gradients(self, output: Readable, labels: Tensor, epoch: int) -> None:
        if epoch > LAST_EPOCH:
            return
        for modality, modules in self.modules.items():
            gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
            if gradients:  # not those of a frozen encoder and head
                torch._foreach_mul_(gradients, RATE[modality] * accuracy_ratio(self.history[modality]))

    def on_validation(self, accuracies: Accuracies, epoch: int) -> None:
        for modality, history in self.history.items():
            history.append(accuracies[modality])

    def state_dict(self) -> dict:
        return {"history": {modality: list(values) for modality, values in self.history.items()}}

    def load_state_dict(self, state: dict) -> None:
        self.history = {modality: list(values) for modality, values in state["history"].items()}
