"""MSLR (Yao & Mihalcea 2022): each modality learns at its own rate.

    g_m <- c_m · ρ_m · g_m    for encoder and head of m;  c_a = 1 - 0.1, c_v = 1 + 0.1, of any other modality 1
    ρ_m = acc_m / mean(acc_m of the previous 5 epochs);  1 until there are 5;  in epochs 0-50 of 100

acc_m is the validation accuracy of m's head after the latest epoch. The first one with 5 before it is that of epoch 5
(from 0), so ρ first differs from 1 in training epoch 6, however long the run. With an adaptive optimiser the factor is
on the update (:mod:`iemf.scaling`), not on the gradient, where it would be lost.
"""

from torch import Tensor, nn

from iemf.balance.base import Accuracies, Fusing, Method, Readable, register

SPREAD = 0.1
SIGN = {"audio": -1, "visual": 1}
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

    has_factors = has_schedule = True
    constant = SPREAD

    def __init__(self, network: Fusing, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.history: dict[str, list[float]] = {modality: [] for modality in network.heads}

    def parameters_by_modality(self) -> dict[str, list[nn.Parameter]]:
        """Of each encoder and its head."""
        network = self.network
        return {m: [*network.encoders[m].parameters(), *head.parameters()] for m, head in network.heads.items()}

    def on_gradients(self, output: Readable, labels: Tensor, epoch: int) -> None:
        if self.at(epoch) > LAST_EPOCH:
            return
        for modality, scaling in self.scalings.items():
            scaling.apply((1 + SIGN.get(modality, 0) * self.constant) * accuracy_ratio(self.history[modality]))

    def on_validation(self, accuracies: Accuracies, epoch: int) -> None:
        for modality, history in self.history.items():
            history.append(accuracies[modality])

    def state_dict(self) -> dict:
        return {"history": {modality: list(values) for modality, values in self.history.items()}}

    def load_state_dict(self, state: dict) -> None:
        self.history = {modality: list(values) for modality, values in state["history"].items()}
