"""Stage 1 of ST-AVQA: which sound and which picture belong together (Li et al. 2022).

An item is one of the first ten seconds of a real video: its sound with its own picture, and with one of the same
seconds of any other of these videos. It goes over videos, not over questions.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iemf.avqa.data import AVQASplit
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.pairs import BELONGS, Frames, draw_others, match_loss
from iemf.avqa.stages import QuestionAnsweringStage, check_videos
from iemf.seeds import Stream, mix_seed
from iemf.training.batches import read_batches
from iemf.training.stage import Outcome, Rank

FIRST = 10  # seconds


class MatchBatch(NamedTuple):
    """audio [B, D_a]; pictures [B, C, H, W]: its own, and one of another video."""

    audio: Tensor
    visual: Tensor
    wrong: Tensor


class Moments:
    """The first seconds of a split's real videos; item i is second i mod S of video i div S, S = 10 or what there are.

    Args:
        split: whose.

    Raises:
        UserError: it has fewer than two real videos.
    """

    def __init__(self, split: AVQASplit) -> None:
        check_videos(split, len(split.real), "real ones")
        self.split, self.seconds = split, min(FIRST, split.features.seconds)

    def __len__(self) -> int:
        return len(self.split.real) * self.seconds

    def draw(self, generator: torch.Generator) -> Frames:
        """A frame of another video for every item."""
        own = torch.arange(len(self)) // self.seconds
        return draw_others(own, len(self.split.real), self.seconds, generator)

    def read(self, items: list[int], others: Frames) -> MatchBatch:
        """Some items; ``others`` as of :meth:`draw`."""
        chosen, real = torch.tensor(items), self.split.real
        at = chosen % self.seconds
        own, other = Frames(real[chosen // self.seconds], at), others.of(chosen)
        other = Frames(real[other.video], other.second)
        return MatchBatch(self.split.sounds(own), self.split.pictures(own, at), self.split.pictures(other, at))


class MatchStage(QuestionAnsweringStage):
    """Trains the match network; in validation the pairs are the same in each epoch.

    Raises:
        UserError: a split has fewer than two real videos.
    """

    name = "match"
    module: MatchNetwork

    def __init__(
        self,
        module: MatchNetwork,
        train: AVQASplit,
        val: AVQASplit,
        *others: Any,
    ) -> None:
        super().__init__(module, train, val, *others)
        self.moments, self.val_moments = Moments(train), Moments(val)
        self.steps = self.steps_of(len(self.moments))

    def batches(self, epoch: int) -> Iterator[MatchBatch]:
        others = self.moments.draw(self.pairs(epoch))
        parts = self.parts(len(self.moments), epoch)
        return read_batches(lambda items: self.moments.read(items, others), parts, self.device)

    def loss(self, network: nn.Module, batch: MatchBatch, epoch: int) -> Outcome:
        loss = match_loss(network(*batch))
        return Outcome(loss, len(batch.audio), {"loss": loss.detach() * len(batch.audio)})

    def validate(self, epoch: int) -> tuple[Rank, dict[str, float]]:
        """Ranked by the share of pairs told rightly, then by the loss."""
        self.module.eval()
        parts, counts = self.val_parts(len(self.val_moments))
        sums = self.sums(self._validation(parts), counts)
        share_right, loss = 100 * sums["right"] / (2 * sums["items"]), sums["loss"] / sums["items"]
        return (share_right, -loss), {"val_match_accuracy": share_right, "val_loss": loss}

    @torch.no_grad()
    def _validation(self, parts: list[list[int]]) -> Iterator[dict[str, Tensor]]:
        others = self.val_moments.draw(torch.Generator().manual_seed(mix_seed(Stream.PAIRS, 0)))
        for batch in read_batches(lambda items: self.val_moments.read(items, others), parts, self.device):
            logits = self.module(*batch)
            right = (logits.right.argmax(-1) == BELONGS).sum() + (logits.wrong.argmax(-1) != BELONGS).sum()
            items = right.new_full((), len(batch.audio))
            yield {"right": right, "items": items, "loss": match_loss(logits).double() * items}
