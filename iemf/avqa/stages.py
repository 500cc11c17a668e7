"""Answering questions as the loop sees it: the only stage, or stage 2 behind that of :mod:`iemf.avqa.match`."""

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
from iemf.avqa.pairs import draw_others, match_loss
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.vocabulary import UNKNOWN
from iemf.balance import Method
from iemf.coefficient import IGNORED
from iemf.errors import UserError
from iemf.network import Output
from iemf.seeds import Stream, mix_seed
from iemf.training.balanced import Asked, Balanced, hold_out
from iemf.training.batches import global_batches, in_turn, own_part, read_batches
from iemf.training.chance import share_of_most_frequent
from iemf.training.effects import BatchScores
from iemf.training.stage import Outcome, Rank, StageDefaults
from iemf.training.step import Totals, accuracies_of, named_totals, outcome_of, ranked

MATCH_WEIGHT = 0.5  # of the match loss in stage 2


class PairedBatch(NamedTuple):
    """An :class:`~iemf.avqa.data.AVQABatch`, and pictures of other videos [B, T, C, H, W] beside its sounds."""

    audio: Tensor
    visual: Tensor
    words: Tensor
    answer: Tensor
    video: Tensor
    wrong: Tensor


class QuestionAnsweringStage(StageDefaults):
    """Rows of a split in a random order, and the sums of a validation.

    Args:
        module: on the accelerator's device.
        train, val: the questions.
        batch_size: of each process.
        seed: of the order and the pairs.
        accelerator: of the run.
    """

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

    def parts(self, count: int, epoch: int) -> list[list[int]]:
        """This process's batches of ``count`` rows in an epoch's order."""
        order = torch.Generator().manual_seed(mix_seed(Stream.ORDER, self.seed, epoch))
        rows = torch.randperm(count, generator=order).tolist()
        return [own_part(batch, self.accelerator) for batch in global_batches(rows, self.batch_size, self.accelerator)]

    def steps_of(self, count: int) -> int:
        """Of an epoch of ``count`` rows."""
        return len(global_batches(range(count), self.batch_size, self.accelerator))

    def pairs(self, epoch: int) -> torch.Generator:
        """Of an epoch's pairs: drawn for all rows at once, they are the same whatever process a row falls to."""
        return torch.Generator().manual_seed(mix_seed(Stream.PAIRS, self.seed, epoch))

    def val_parts(self, count: int) -> tuple[list[list[int]], bool]:
        """(this process's batches of ``count`` rows, whether they count): without a share it sees one that does not."""
        parts = list(BatchSampler(range(count), self.batch_size, drop_last=False))
        mine = in_turn(parts, self.accelerator)
        return mine or parts[:1], bool(mine)

    def sums(self, totals: Iterator[dict[str, Tensor]], counts: bool) -> dict[str, float]:
        """Over all processes."""
        added = Totals(self.device)
        for named in totals:
            added.add(named, counts)
        return added.read()


class AnswerStage(Balanced, QuestionAnsweringStage):
    """Answering: cross-entropy of the fusion and of both heads.

    Args:
        of_questions: as of :class:`QuestionAnsweringStage`.
        balance: of the modalities, made for the network; none by default.
    """

    name = "answer"
    module: Answering

    def __init__(self, *of_questions: Any, balance: Method | None = None) -> None:
        super().__init__(*of_questions)
        self.balance = balance or Method(self.module)
        self.trained, self.held = hold_out(range(len(self.train)), self.balance.held_out, self.seed)

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return self.steps_of(len(self.trained))

    def batches(self, epoch: int) -> Iterator[AVQABatch | PairedBatch]:
        self.begin_epoch(epoch)
        return self.in_order(epoch)

    def in_order(self, epoch: int) -> Iterator[AVQABatch | PairedBatch]:
        return read_batches(self.train.__getitems__, self.trained_parts(epoch), self.device)

    def trained_parts(self, epoch: int) -> list[list[int]]:
        """This process's batches of the rows that are trained on, in an epoch's order."""
        return [[self.trained[place] for place in part] for part in self.parts(len(self.trained), epoch)]

    def asked(self, rows: Sequence[int], epoch: int) -> Iterator[Asked]:
        mine = in_turn(rows, self.accelerator)
        parts = list(BatchSampler(mine, self.batch_size, drop_last=False))
        for batch in read_batches(self.train.__getitems__, parts, self.device):
            yield Asked(self.module(batch.audio, batch.visual, batch.words), batch.answer)

    def chance(self) -> float:
        answers = self.train.answers
        return share_of_most_frequent(answers[self.trained] if self.held else answers)

    def answered(self, network: nn.Module, batch: AVQABatch) -> tuple[Output, dict[str, Tensor]]:
        """The output of a batch, and further losses by name."""
        return network(batch.audio, batch.visual, batch.words), {}

    def loss(self, network: nn.Module, batch: AVQABatch | PairedBatch, epoch: int) -> Outcome:
        output, further = self.answered(network, batch)
        logits, labels = output.logits, batch.answer
        losses = {"fused": self.balance.loss(F.cross_entropy(logits.fused, labels), output, labels, epoch)}
        losses |= {name: F.cross_entropy(each, labels) for name, each in logits.unimodal.items()} | further
        return outcome_of(self.balance.weighted(losses, epoch), logits, labels, output=Asked(output, labels))

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """Ranked by the share of questions answered rightly, then by the loss; ``balance`` sees the shares."""
        self.module.eval()
        parts, counts = self.val_parts(len(self.val))
        scores = BatchScores(self.accelerator)
        sums = self.sums(self._validation(parts, scores if counts else None), counts)
        accuracies = accuracies_of(sums, len(self.val))
        self.balance.on_validation(accuracies, epoch)
        return ranked(accuracies, sums["loss"] / len(self.val), scores.effects(self.modulation))

    @torch.no_grad()
    def _validation(self, parts: list[list[int]], scores: BatchScores | None) -> Iterator[dict[str, Tensor]]:
        for batch in read_batches(self.val.__getitems__, parts, self.device):
            logits = self.module(batch.audio, batch.visual, batch.words).logits
            losses = F.cross_entropy(logits.fused, batch.answer, reduction="none", ignore_index=UNKNOWN)
            if scores is not None:
                scores.add(logits, counted(batch.answer))
            yield named_totals({"loss": losses.mean()}, logits, batch.answer)


class GroundedAnswerStage(AnswerStage):
    """Stage 2 of ST-AVQA: the match loss beside the answer's.

    Every time of every question has a frame of another video of the split, drawn anew in each epoch.
    """

    module: STAVQA

    def __init__(self, module: STAVQA, train: AVQASplit, *others: Any, balance: Method | None = None) -> None:
        super().__init__(module, train, *others, balance=balance)
        check_videos(train, len(train.video_list), "videos")

    def in_order(self, epoch: int) -> Iterator[PairedBatch]:
        split, times = self.train, torch.arange(self.train.features.times)
        own = split.places[:, None].expand(-1, len(times))
        others = draw_others(own, len(split.video_list), split.features.seconds, self.pairs(epoch))

        def read(rows: list[int]) -> PairedBatch:
            return PairedBatch(*split.__getitems__(rows), split.pictures(others.of(torch.tensor(rows)), times))

        return read_batches(read, self.trained_parts(epoch), self.device)

    def answered(self, network: nn.Module, batch: PairedBatch) -> tuple[Output, dict[str, Tensor]]:
        output, matched = network(batch.audio, batch.visual, batch.words, batch.wrong)
        return output, {"match": MATCH_WEIGHT * match_loss(matched)}


def check_videos(split: AVQASplit, count: int, of: str) -> None:
    """Raise UserError if there is no other video to draw a frame of."""
    if count < 2:
        asked = f"{len(split)} questions about {len(split.video_list)} video(s)"
        raise UserError(f"a split of {asked} has {count} {of}: telling what belongs together takes two; use `models` "
                        f"baseline, or a larger split")  # fmt: skip


def counted(answers: Tensor) -> Tensor:
    """Answers that train never had do not count in ξ."""
    return answers.where(answers != UNKNOWN, IGNORED)


@torch.no_grad()
def predict(
    module: Answering,
    split: AVQASplit,
    batch_size: int,
    accelerator: Accelerator,
    rows: Sequence[int] | None = None,
    scores: BatchScores | None = None,
) -> dict[str, Tensor]:
    """The number of the answer to each question of ``rows``, on the CPU, by each head and by "fused"; neither batches
    nor order change it.

    Args:
        module: a baseline or ST-AVQA, on the accelerator's device.
        split, batch_size, accelerator: of what, how many at a time, and where.
        rows: questions by their place in the split; None: all.
        scores: takes what ξ is computed from.
    """
    module.eval()
    rows = list(range(len(split))) if rows is None else list(rows)
    parts = in_turn(list(BatchSampler(range(len(rows)), batch_size, drop_last=False)), accelerator)
    told = []
    read = read_batches(lambda part: split.__getitems__([rows[place] for place in part]), parts, accelerator.device)
    for part, batch in zip(parts, read, strict=True):
        logits = module(batch.audio, batch.visual, batch.words).logits
        if scores is not None:
            scores.add(logits, counted(batch.answer))
        told.append((part, {name: each.argmax(1).cpu() for name, each in logits.named().items()}))
    answers: dict[str, Tensor] = {}
    for part, of_part in gather_object(told):
        for name, numbers in of_part.items():
            answers.setdefault(name, torch.empty(len(rows), dtype=torch.int64))[part] = numbers
    return answers
