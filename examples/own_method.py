"""A balancing method of one's own, in one file, trained on AV-Digits by the programs of this toolkit. Under a minute.

    python examples/own_method.py

The class alone, put into iemf/balance/late.py, is all that `iemf compare --method late` needs.
"""

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.classification.options import RunConfig
from experiments.classification.run import train
from iemf.balance import Method, Readable, register


@register("late", "Late")
class Late(Method):
    """loss = (loss(fused) + CE(mean of the heads' logits)) / 2: the heads must also agree without the fusion layer.

    The heads are read anew from the features, because those of a vanilla network send no gradient to the encoders.
    """

    def loss(self, fused: Tensor, output: Readable, labels: Tensor, epoch: int) -> Tensor:
        logits = [head(output.features[modality]) for modality, head in self.network.heads.items()]
        late = F.cross_entropy(sum(logits) / len(logits), labels)
        return (fused + late) / 2


def main(out: Path, epochs: int = 1, width: int = 8) -> dict[str, dict]:
    """{variant: results} of a vanilla run and of one with IEMF, each in a folder of its own under ``out``."""
    results = {}
    for variant in ("vanilla", "iemf"):
        config = RunConfig(method="late", iemf=variant == "iemf", epochs=epochs, width=width, out=out / variant,
                           progress=False)  # fmt: skip
        results[variant] = train(config)
        print(
            f"{Late.label}, {variant}: test accuracy {results[variant]['test_accuracy']:.1f} % after {epochs} epoch(s)"
        )
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)  # a network this narrow gains nothing from a second thread
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
