"""From what was heard, seen and asked to an answer: the fusion layer that IEMF modulates, and a head a modality.

    logits = fc_answer(act(fc_fusion(act[a; v]) ⊙ q)),  logits_a = head_a(a ⊙ q),  logits_v = head_v(v ⊙ q)

act is tanh in Li et al. 2022, nothing in the code released with He et al. 2025, a spiking neuron in a spiking head. The
fusion layer, which IEMF modulates, is fc_fusion alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from iemf.avqa.attention import QuestionGuidedAttention
from iemf.avqa.question_encoder import QuestionEncoder
from iemf.logits import Logits
from iemf.network import Output


class AnswerNetwork(nn.Module):
    """a, v, q, [B, width] each -> :class:`iemf.network.Output`: logits [B, answers], features a ⊙ q and v ⊙ q.

    Args:
        width: of the three.
        answers: how many there are.
        activation: makes the activations around the fusion layer: Tanh, Identity, or a spiking neuron.
        train_encoders_by_heads: True for joint learning and IEMF. False: the heads read what is attended to without
            sending a gradient back, as linear probes (see :class:`iemf.network.MultimodalNetwork`).
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


class Answering(nn.Module):
    """What the baseline and ST-AVQA have alike: the question, attention to it, the answer; and how they show themselves
    to a balancing method (:class:`iemf.balance.Fusing`).

    audio [B, T, D_a], visual [B, T, C, H, W], words [B, L] -> :class:`iemf.network.Output`.

    Args:
        audio_size, visual_size: D_a and C.
        words, answers: sizes of the vocabulary.
        width: of the question, of both attended features and of the fusion.
        activation: around the fusion layer.
        train_encoders_by_heads: see :class:`AnswerNetwork`.
    """

    splits = False  # between fc_fusion and the logits lie the question, an activation and fc_answer

    def __init__(
        self,
        audio_size: int,
        visual_size: int,
        words: int,
        answers: int,
        width: int = 512,
        activation: Callable[[], nn.Module] = nn.Tanh,
        train_encoders_by_heads: bool = True,
    ) -> None:
        super().__init__()
        self.question = QuestionEncoder(words, width)
        self.make_senses(audio_size, visual_size, width)
        self.attention_audio, self.attention_visual = (QuestionGuidedAttention(width) for _ in range(2))
        self.answer = AnswerNetwork(width, answers, activation, train_encoders_by_heads)

    def make_senses(self, audio_size: int, visual_size: int, width: int) -> None:
        """Make the layers between the inputs and the attention, in this place of the random stream."""
        raise NotImplementedError

    @property
    def heads(self) -> dict[str, nn.Linear]:
        """By modality."""
        return self.answer.heads

    @property
    def train_encoders_by_heads(self) -> bool:
        """Whether the heads' losses reach the encoders."""
        return self.answer.train_encoders_by_heads

    @property
    def fusion(self) -> nn.Linear:
        """fc_fusion, which IEMF modulates."""
        return self.answer.fc_fusion
