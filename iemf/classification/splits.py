"""What stages of classification share: the three splits of a data set, in batches, and how a network does on them."""

from collections.abc import Iterator, Sequence

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Subset

from iemf.classification.evaluate import Evaluation, evaluate
from iemf.data.base import AudioVisualData, Batch, evaluation_loader, training_loader
from iemf.training.chance import share_of_most_frequent
from iemf.training.effects import Effects, effects_of_samples
from iemf.training.stage import Rank, StageDefaults
from iemf.training.step import ranked


class Splits(StageDefaults):
    """A stage without its loss.

    Args:
        module: the network, on the accelerator's device.
        data: three splits.
        batch_size: of each process.
        seed: of the order of the training samples.
        accelerator: of the run.
        workers: processes that read files.
        whole_batches: leave out the last training batch if it is not full.
        rows: of the training split, those that are trained on; by default all.
    """

    def __init__(
        self,
        module: nn.Module,
        data: AudioVisualData,
        batch_size: int,
        seed: int,
        accelerator: Accelerator,
        workers: int = 0,
        whole_batches: bool = False,
        rows: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.module, self.data, self.accelerator = module, data, accelerator
        self.trained = range(len(data.train)) if rows is None else rows
        some = len(self.trained) < len(data.train)
        of_train = Subset(data.train, self.trained) if some else data.train
        self.train_loader, self.sampler = training_loader(of_train, batch_size, seed, workers, whole_batches,
                                                          accelerator)  # fmt: skip
        self.steps, self.batch_size, self.workers = len(self.train_loader), batch_size, workers
        evaluations = [evaluation_loader(split, batch_size, workers) for split in (data.val, data.test)]
        self.val_loader, self.test_loader = accelerator.prepare(*evaluations)
        self.front_end = data.front_end.to(accelerator.device)

    def batches(self, epoch: int) -> Iterator[Batch]:
        return self.in_order(epoch)

    def in_order(self, epoch: int) -> Iterator[Batch]:
        """The training batches of an epoch."""
        self.data.set_epoch(epoch)
        self.sampler.epoch = epoch
        self.front_end.train()
        return iter(self.train_loader)

    def chance(self) -> float | None:
        labels = getattr(self.data.train, "labels", None)  # a data set of one's own may have none
        if labels is None:
            return None
        some = len(self.trained) < len(labels)
        return share_of_most_frequent(torch.as_tensor(labels)[self.trained] if some else labels)

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """Ranked by the fused accuracy, then by its loss."""
        found = evaluate(self.module, self.front_end, self.val_loader, self.accelerator)
        self.on_validation(found.accuracies, epoch)
        return ranked(found.accuracies, found.loss, self._effects(found))

    def on_validation(self, accuracies: dict[str, float], epoch: int) -> None:
        """Nothing: who learns from accuracies (in percent, by name) overrides it."""

    def test(self) -> tuple[dict[str, float], Effects]:
        """(accuracies in percent, ξ of each batch) on the test split, of the module as it is."""
        found = evaluate(self.module, self.front_end, self.test_loader, self.accelerator)
        return found.accuracies, self._effects(found)

    def _effects(self, found: Evaluation) -> Effects:
        return effects_of_samples(found.scores, self.batch_size, self.modulation)
