"""Question answering as the loop sees it: stage 1 learns which sound and picture belong together, stage 2 (or the only
one) answers."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import BatchSampler

from iemf.avqa.answer import Answering
from iemf.avqa.data import AVQABatch, AVQASplit
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.pairs import BELONGS, Others, draw_others, match_loss
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.vocabulary import UNKNOWN
from iemf.balance import Method
from iemf.network import Output
from iemf.seeds import Stream, mix_seed
from iemf.training.balanced import Asked, Balanced
from iemf.training.batches import read_batches, share
from iemf.training.stage import Outcome, Rank, StageDefaults
from iemf.training.step import Totals, accuracies_of, named_totals, outcome_of, ranked

MATCH_WEIGHT = 0.5  # of the match loss in stage 2


class Paired(NamedTuple):
    """A batch, and the wrong pictures for its sounds; None where nothing is matched."""

    batch: AVQABatch
    others: Others | None


class _Questions(StageDefaults):
    """Batches of questions in a random order, with or without wrong pairs.

    Args:
        module: on the accelerator's device.
        train, val: the questions.
        batch_size: of each process.
        seed: of the order and the pairs.
        accelerator: of the run.
    """

    paired = False

    def __init__(
        self,
        module: nn.Module,
        train: AVQASplit,
        val: AVQASplit,
        batch_size: int,
        seed: int,
        accelerator: Accelerator,
    ) -> None:
        super().__init__()
        self.module, self.train, self.val, self.batch_size = module, train, val, batch_size
        self.seed, self.accelerator, self.device = seed, accelerator, accelerator.device
        self.steps = -(-len(train) // batch_size)

    def batches(self, epoch: int) -> Iterator[Paired]:
        rank = self.accelerator.process_index
        order = torch.Generator().manual_seed(mix_seed(Stream.ORDER, self.seed, epoch))
        rows = torch.randperm(len(self.train), generator=order).tolist()
        parts = share(list(BatchSampler(rows, self.batch_size, drop_last=False)), self.accelerator, even=True)
        pairs = torch.Generator().manual_seed(mix_seed(Stream.PAIRS, self.seed, epoch, *([rank] if rank else [])))
        for batch in read_batches(self.train.__getitems__, parts, self.device):
            yield Paired(batch, draw_others(batch.video, batch.audio.shape[1], pairs) if self.paired else None)

    def _val_batches(self) -> Iterator[tuple[AVQABatch, bool]]:
        """(batch, whether it counts): a process without a share sees one that does not."""
        parts = list(BatchSampler(range(len(self.val)), self.batch_size, drop_last=False))
        mine = share(parts, self.accelerator, even=False)
        for batch in read_batches(self.val.__getitems__, mine or parts[:1], self.device):
            yield batch, bool(mine)

    def _sums(self, totals: Iterator[tuple[dict[str, Tensor], bool]]) -> dict[str, float]:
        """Over all processes."""
        added = Totals(self.device)
        for named, counts in totals:
            added.add(named, counts)
        return added.read()


class MatchStage(_Questions):
    """Stage 1: the match network on pairs that belong together and pairs that do not.

    In validation each sound is matched with its own picture and one of another video, the same each epoch.
    """

    name, paired = "match", True
    module: MatchNetwork

    def loss(self, network: nn.Module, batch: Paired, epoch: int) -> Outcome:
        (audio, visual, *_), others = batch
        loss = match_loss(network(audio, visual, others), others.exists)
        return Outcome(loss, len(audio), {"loss": loss.detach() * len(audio)})

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """Ranked by the share of pairs told rightly, then by the loss."""
        self.module.eval()
        sums = self._sums(self._validation())
        share_right, loss = 100 * sums["right"] / sums["pairs"], sums["loss"] / sums["rows"]
        return (share_right, -loss), {"val_match_accuracy": share_right, "val_loss": loss}

    @torch.no_grad()
    def _validation(self) -> Iterator[tuple[dict[str, Tensor], bool]]:
        generator = torch.Generator().manual_seed(mix_seed(Stream.PAIRS, 0))
        for batch, counts in self._val_batches():
            others = draw_others(batch.video, batch.audio.shape[1], generator)
            logits, exists = self.module(batch.audio, batch.visual, others), others.exists
            told = (logits.right.argmax(-1) == BELONGS).double().mean(1)
            apart = (logits.wrong.argmax(-1) != BELONGS).double().mean(1) * exists
            rows = told.new_full((), float(len(exists)))
            yield {"right": told.sum() + apart.sum(), "pairs": len(exists) + exists.sum(),
                   "loss": match_loss(logits, exists).double() * rows, "rows": rows}, counts  # fmt: skip


class AnswerStage(Balanced, _Questions):
    """Answering: cross-entropy of the fusion and of both heads.

    Args:
        of_questions: see above.
        balance: of the modalities, made for the network; none by default.
    """

    name = "answer"
    module: Answering

    def __init__(self, *of_questions: Any, balance: Method | None = None) -> None:
        super().__init__(*of_questions)
        self.balance = balance or Method(self.module)

    def answered(self, network: nn.Module, batch: Paired) -> tuple[Output, dict[str, Tensor]]:
        """The output of a batch, and further losses by name."""
        questions = batch.batch
        return network(questions.audio, questions.visual, questions.words), {}

    def loss(self, network: nn.Module, batch: Paired, epoch: int) -> Outcome:
        output, further = self.answered(network, batch)
        logits, labels = output.logits, batch.batch.answer
        losses = {"fused": self.balance.loss(F.cross_entropy(logits.fused, labels), output, labels, epoch)}
        losses |= {name: F.cross_entropy(each, labels) for name, each in logits.unimodal.items()} | further
        return outcome_of(losses, logits, labels, output=Asked(output, labels))

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """Ranked by the share of questions answered rightly, then by the loss; ``balance`` sees the shares."""
        self.module.eval()
        sums = self._sums(self._validation())
        accuracies = accuracies_of(sums, len(self.val))
        self.balance.on_validation(accuracies, epoch)
        return ranked(accuracies, sums["loss"] / len(self.val))

    @torch.no_grad()
    def _validation(self) -> Iterator[tuple[dict[str, Tensor], bool]]:
        for batch, counts in self._val_batches():
            logits = self.module(batch.audio, batch.visual, batch.words).logits
            losses = F.cross_entropy(logits.fused, batch.answer, reduction="none", ignore_index=UNKNOWN)
            yield named_totals({"loss": losses.mean()}, logits, batch.answer), counts


class GroundedAnswerStage(AnswerStage):
    """Stage 2 of ST-AVQA: the match loss beside the answer's."""

    paired = True
    module: STAVQA

    def answered(self, network: nn.Module, batch: Paired) -> tuple[Output, dict[str, Tensor]]:
        questions, others = batch
        output, matched = network(questions.audio, questions.visual, questions.words, others)
        return output, {"match": MATCH_WEIGHT * match_loss(matched, others.exists)}


@torch.no_grad()
def predict(
    module: Answering,
    split: AVQASplit,
    batch_size: int,
    accelerator: Accelerator,
    rows: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """The number of the answer to each question of ``rows``, on the CPU, by each head and by "fused"; neither batches
    nor order change it.

    Args:
        module: a baseline or ST-AVQA, on the accelerator's device.
        split, batch_size, accelerator: of what, how many at a time, and where.
        rows: questions by their place in the split; None: all.
    """
    module.eval()
    rows = list(range(len(split))) if rows is None else list(rows)
    parts = share(list(BatchSampler(range(len(rows)), batch_size, drop_last=False)), accelerator, even=False)
    told = []
    read = read_batches(lambda part: split.__getitems__([rows[place] for place in part]), parts, accelerator.device)
    for part, batch in zip(parts, read, strict=True):
        logits = module(batch.audio, batch.visual, batch.words).logits
        told.append((part, {name: each.argmax(1).cpu() for name, each in logits.named().items()}))
    answers: dict[str, Tensor] = {}
    for part, of_part in gather_object(told):
        for name, numbers in of_part.items():
            answers.setdefault(name, torch.empty(len(rows), dtype=torch.int64))[part] = numbers
    return answers
