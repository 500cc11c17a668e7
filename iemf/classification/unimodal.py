"""One modality alone as the loop sees it: a network without a fusion, and nothing to balance."""

import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn

from iemf.classification.splits import Splits
from iemf.data.base import AudioVisualData, Batch
from iemf.training.stage import Outcome
from iemf.training.step import outcome_of
from iemf.unimodal import UnimodalNetwork


class UnimodalStage(Splits):
    """The cross-entropy of the one head. Samples, their order and their noise are those of the multimodal stage.

    Args:
        module: the network, on the accelerator's device.
        data: three splits, of both modalities.
        batch_size: of each process.
        seed: of the order of the training samples.
        accelerator: of the run.
        workers: processes that read files.
        whole_batches: leave out the last training batch if it is not full.
        label_smoothing: of the cross-entropy, in [0, 1).
    """

    name = "unimodal classification"

    def __init__(
        self,
        module: UnimodalNetwork,
        data: AudioVisualData,
        batch_size: int,
        seed: int,
        accelerator: Accelerator,
        workers: int = 0,
        whole_batches: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(module, data, batch_size, seed, accelerator, workers, whole_batches)
        self.label_smoothing = label_smoothing

    def loss(self, network: nn.Module, batch: Batch, epoch: int) -> Outcome:
        logits, labels = network(*self.front_end(*batch.inputs)).logits, batch.label
        loss = F.cross_entropy(logits.fused, labels, label_smoothing=self.label_smoothing)
        return outcome_of({"fused": loss}, logits, labels)
