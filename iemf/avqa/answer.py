"""From what was heard, seen and asked to an answer: the fusion layer that IEMF modulates, and a head a modality.

    logits = fc_answer(act(fc_fusion(act[a; v]) ⊙ q)),  logits_a = head_a(a ⊙ q),  logits_v = head_v(v ⊙ q)

act is tanh in Li et al. 2022, nothing in the code released with He et al. 2025, a spiking neuron in a spiking head. The
fusion layer, which IEMF modulates, is fc_fusion alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from iemf.logits import Logits
from iemf.network import Output


class AnswerNetwork(nn.Module):
    """a, v, q, [B, width] each -> :class:`iemf.network.Output`: logits [B, answers], features a ⊙ q and v ⊙ q.

    Args:
        width: of the three.
        answers: how many there are.
        activation: makes the activations around the fusion layer: Tanh, Identity, or a spiking neuron.
        train_encoders_by_heads: True for joint learning and IEMF. False: the heads read what is attended to without
            sending a gradient back, as linear probes (see :class:`iemf.network.AudioVisualNetwork`).
    """

    def __init__(self, width: int, answers: int, activation: Callable[[], nn.Module] = nn.Tanh,
                 train_encoders_by_heads: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.activation_before, self.activation_behind = activation(), activation()
        self.train_encoders_by_heads = train_encoders_by_heads
        self.fc_fusion = nn.Linear(2 * width, width)
        self.fc_answer = nn.Linear(width, answers)
        self.head_audio, self.head_visual = nn.Linear(width, answers), nn.Linear(width, answers)

    def forward(self, audio: Tensor, visual: Tensor, question: Tensor) -> Output:
        fused = self.fc_fusion(self.activation_before(torch.cat([audio, visual], dim=1)))
        answer = self.fc_answer(self.activation_behind(fused * question))
        asked = {"audio": audio * question, "visual": visual * question}
        unimodal = {m: head(asked[m] if self.train_encoders_by_heads else asked[m].detach())
                    for m, head in self.heads.items()}  # fmt: skip
        return Output(Logits(unimodal, answer), asked)

    @property
    def heads(self) -> dict[str, nn.Linear]:
        """By modality."""
        return {"audio": self.head_audio, "visual": self.head_visual}


class Answering:
    """What the baseline and ST-AVQA show a balancing method (:class:`iemf.balance.Fusing`), with their ``answer``."""

    answer: AnswerNetwork
    splits = False  # between fc_fusion and the logits lie the question, an activation and fc_answer

    @property
    def heads(self) -> dict[str, nn.Linear]:
        """By modality."""
        return self.answer.heads

    @property
    def fusion(self) -> nn.Linear:
        """fc_fusion, which IEMF modulates."""
        return self.answer.fc_fusion
