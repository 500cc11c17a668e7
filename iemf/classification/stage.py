"""Classification as the loop sees it: a network with a head for each modality, and a balancing method."""

from collections.abc import Iterator, Sequence

from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import nn
from torch.utils.data import BatchSampler

from iemf.balance import Method
from iemf.classification.splits import Splits
from iemf.data.base import AudioVisualData, Batch, rows_loader
from iemf.network import MultimodalNetwork
from iemf.training.balanced import Asked, Balanced, hold_out
from iemf.training.batches import in_turn
from iemf.training.stage import Outcome
from iemf.training.step import outcome_of


class ClassificationStage(Balanced, Splits):
    """The method's loss of the fusion, and the cross-entropy of every head.

    Args:
        module: the network, on the accelerator's device.
        balance: the balancing method, made for it; its hooks see unscaled gradients.
        data: three splits.
        batch_size: of each process.
        seed: of the order of the training samples.
        accelerator: of the run.
        workers: processes that read files.
        whole_batches: leave out the last training batch if it is not full.
    """

    name = "classification"

    def __init__(
        self,
        module: MultimodalNetwork,
        balance: Method,
        data: AudioVisualData,
        batch_size: int,
        seed: int,
        accelerator: Accelerator,
        workers: int = 0,
        whole_batches: bool = False,
    ) -> None:
        rows, self.held = hold_out(range(len(data.train)), balance.held_out, seed)
        super().__init__(module, data, batch_size, seed, accelerator, workers, whole_batches, rows)
        self.balance = balance

    def batches(self, epoch: int) -> Iterator[Batch]:
        self.begin_epoch(epoch)
        return self.in_order(epoch)

    def asked(self, rows: Sequence[int], epoch: int) -> Iterator[Asked]:
        self.data.set_epoch(epoch)
        self.front_end.eval()
        mine = in_turn(rows, self.accelerator)
        parts = list(BatchSampler(mine, self.batch_size, drop_last=False))
        for batch in rows_loader(self.data.train, parts, self.workers):
            batch = send_to_device(batch, self.accelerator.device)
            yield Asked(self.module(*self.front_end(*batch.inputs)), batch.label)

    def loss(self, network: nn.Module, batch: Batch, epoch: int) -> Outcome:
        output = network(*self.front_end(*batch.inputs))
        logits, labels = output.logits, batch.label
        fused = self.balance.cross_entropy(logits.fused, labels)
        losses = {"fused": self.balance.loss(fused, output, labels, epoch)}
        losses |= {name: self.balance.cross_entropy(each, labels) for name, each in logits.unimodal.items()}
        return outcome_of(self.balance.weighted(losses, epoch), logits, labels, output=Asked(output, labels))

    def on_validation(self, accuracies: dict[str, float], epoch: int) -> None:
        """``balance`` sees them."""
        self.balance.on_validation(accuracies, epoch)
