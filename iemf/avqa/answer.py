"""From what was heard, seen and asked to an answer: the fusion layer that IEMF modulates, and a head a modality.

logits = fc_answer(act(fc_fusion(act[a; v])) ⊙ q),  logits_a = head_a(a ⊙ q),  logits_v = head_v(v ⊙ q)
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from iemf.logits import Logits


class AnswerNetwork(nn.Module):
    """a, v, q, [B, width] each -> :class:`iemf.logits.Logits` [B, answers].

    Args:
        width: of the three.
        answers: how many there are.
        activation: makes the activations around the fusion layer: Tanh, or a spiking neuron.
    """

    def __init__(self, width: int, answers: int, activation: Callable[[], nn.Module] = nn.Tanh) -> None:
        super().__init__()
        self.activation_before, self.activation_behind = activation(), activation()
        self.fc_fusion = nn.Linear(2 * width, width)
        self.fc_answer = nn.Linear(width, answers)
        self.head_audio, self.head_visual = nn.Linear(width, answers), nn.Linear(width, answers)

    def forward(self, audio: Tensor, visual: Tensor, question: Tensor) -> Logits:
        fused = self.fc_fusion(self.activation_before(torch.cat([audio, visual], dim=1)))
        answer = self.fc_answer(self.activation_behind(fused) * question)
        return Logits(
            {"audio": self.head_audio(audio * question), "visual": self.head_visual(visual * question)}, answer
        )
