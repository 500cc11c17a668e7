"""A balancing method of one's own, in one file, beside Concat on AV-Digits. A minute on a CPU.

    python examples/own_method.py

Put into iemf/balance/, the class alone is enough: every program knows it then, `iemf compare --method dropout` too.
"""

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.classification.options import RunConfig
from experiments.classification.run import train
from iemf.balance import Method, register
from iemf.network import Output


@register("dropout", "modality dropout")
class ModalityDropout(Method):
    """The fusion must do with one modality now and then: in one batch of four the other's features are zeros."""

    SHARE = 0.25

    def __init__(self, network, seed: int = 0, recipe: str = "paper") -> None:
        super().__init__(network, seed, recipe)
        self.generator = torch.Generator().manual_seed(seed)

    def loss(self, output: Output, labels: Tensor, epoch: int) -> Tensor:
        features = dict(output.features)
        draw = torch.rand((), generator=self.generator).item()
        if draw < self.SHARE:
            name = list(features)[int(draw / self.SHARE * len(features))]
            features[name] = torch.zeros_like(features[name])
        return F.cross_entropy(self.network.fusion(*features.values()), labels)

    def state_dict(self) -> dict:
        """What a resumed run needs."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
        self.generator.set_state(state["generator"])


def main(epochs: int = 2, width: int = 8) -> dict[str, float]:
    """{method: test accuracy in percent} after a few epochs."""
    accuracies = {}
    with tempfile.TemporaryDirectory() as folder:
        for method in ("concat", "dropout"):
            run = RunConfig(method=method, epochs=epochs, width=width, out=Path(folder) / method, progress=False)
            accuracies[method] = train(run)["test_accuracy"]
            print(f"{method}: {accuracies[method]:.1f} %")
    return accuracies


if __name__ == "__main__":
    main()
