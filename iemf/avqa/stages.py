"""What the loop trains: stage 1 learns which sound and picture belong together, stage 2 (or the only one) answers."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from iemf.avqa import accuracy
from iemf.avqa.answer import Answered
from iemf.avqa.baseline import Baseline
from iemf.avqa.data import AVQABatch, AVQASplit
from iemf.avqa.grounding import BELONGS, MatchNetwork
from iemf.avqa.pairs import draw_others, match_loss, mismatch
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.trainer import batches
from iemf.balance.inverse_effectiveness import InverseEffectiveness
from iemf.seeds import Stream, mix_seed

MATCH_WEIGHT = 0.5  # of the match loss in stage 2


class MatchStage:
    """Stage 1: the match network on pairs that belong together and pairs that do not.

    Args:
        module: the match network, on its device.
        val: of which each sound is matched with its own picture and one of another video, the same each epoch.
        batch_size: of validation.
    """

    def __init__(self, module: MatchNetwork, val: AVQASplit, batch_size: int) -> None:
        self.module, self.val, self.batch_size = module, val, batch_size

    def loss(self, batch: AVQABatch, generator: torch.Generator) -> Tensor:
        return match_loss(*self._logits(batch, generator))

    def on_gradients(self) -> None:
        """No ξ: there is no fusion yet."""

    def state_dict(self) -> dict:
        """Nothing outlives a step."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""

    @torch.no_grad()
    def validate(self) -> tuple[tuple[float, ...], dict]:
        """Ranked by the share of pairs told rightly, then by the loss."""
        self.module.eval()
        device = next(self.module.parameters()).device
        generator = torch.Generator().manual_seed(mix_seed(Stream.PAIRS, 0))
        totals = torch.zeros(4, dtype=torch.float64, device=device)
        for batch in batches(self.val, list(range(len(self.val))), self.batch_size, device):
            right, wrong, exists = self._logits(batch, generator)
            told = (right.argmax(-1) == BELONGS).double().mean(1)
            apart = (wrong.argmax(-1) != BELONGS).double().mean(1) * exists
            loss = match_loss(right, wrong, exists).double() * len(exists)
            totals += torch.stack(
                [told.sum() + apart.sum(), len(exists) + exists.sum(), loss, len(exists) * loss.new_ones(())]
            )
        told, pairs, loss, rows = totals.tolist()
        share = 100 * told / pairs
        return (share, -loss / rows), {"val_match_accuracy": share}

    def _logits(self, batch: AVQABatch, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        heard, places = self.module.hear(batch.audio), self.module.places(batch.visual)
        others = draw_others(batch.video, batch.audio.shape[1], generator)
        right = self.module.matches(self.module(heard, places))
        return right, mismatch(self.module, heard, places, others), others.exists


class AnswerStage:
    """Answering: cross-entropy of the fusion, with joint learning also of both heads; ST-AVQA adds the match loss.

    Args:
        module: the baseline or ST-AVQA, on its device.
        val: validation questions.
        batch_size: of validation.
        joint: whether the losses of both heads count.
        modulation: ξ on ``module.answer.fc_fusion``; None: ξ = 1.
    """

    def __init__(
        self,
        module: Baseline | STAVQA,
        val: AVQASplit,
        batch_size: int,
        joint: bool = False,
        modulation: InverseEffectiveness | None = None,
    ) -> None:
        self.module, self.val, self.batch_size = module, val, batch_size
        self.joint, self.modulation = joint, modulation
        self._seen: tuple[Answered, Tensor] | None = None

    def loss(self, batch: AVQABatch, generator: torch.Generator) -> Tensor:
        if isinstance(self.module, STAVQA):
            network = self.module.grounding
            heard, places = network.hear(batch.audio), network.places(batch.visual)
            others = draw_others(batch.video, batch.audio.shape[1], generator)
            grounded = network(heard, places)
            answered = self.module.answered(grounded, batch.words)
            wrong = mismatch(network, heard, places, others)
            loss = MATCH_WEIGHT * match_loss(network.matches(grounded), wrong, others.exists)
        else:
            answered, loss = self.module(batch.audio, batch.visual, batch.words), 0.0
        counted = answered if self.joint else answered[:1]
        self._seen = answered, batch.answer
        return loss + sum(F.cross_entropy(logits, batch.answer) for logits in counted)

    def on_gradients(self) -> Tensor | None:
        """ξ of this batch, applied to the fusion layer."""
        if self.modulation is None:
            return None
        answered, labels = self._seen
        return self.modulation.modulate([answered.audio, answered.visual], answered.fused, labels)

    def state_dict(self) -> dict:
        """The modulation's."""
        return self.modulation.state_dict() if self.modulation is not None else {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
        if self.modulation is not None:
            self.modulation.load_state_dict(state)

    def validate(self) -> tuple[tuple[float, ...], dict]:
        """Ranked by the share of questions answered rightly."""
        told = predict(self.module, self.val, self.batch_size)
        measured = accuracy.by_type([q.kind for q in self.val.questions], (told == self.val.answers).numpy())
        return (measured[accuracy.OVERALL],), {"val_accuracy": measured[accuracy.OVERALL]}


@torch.no_grad()
def predict(
    module: Callable[..., Answered], split: AVQASplit, batch_size: int, rows: list[int] | None = None
) -> Tensor:
    """The number of the answer to each question of ``rows``, on the CPU; neither batches nor order change it.

    Args:
        module: a baseline or ST-AVQA, on its device.
        rows: questions by their place in the split; None: all.
    """
    module.eval()
    device = next(module.parameters()).device
    rows = list(range(len(split))) if rows is None else rows
    parts = [
        module(batch.audio, batch.visual, batch.words).fused.argmax(1)
        for batch in batches(split, rows, batch_size, device)
    ]
    return torch.cat(parts).cpu()
