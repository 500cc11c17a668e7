"""The baseline of question answering (He et al. 2025 after Li et al. 2022): attention over time, no grounding in space.

a_t = W2·ReLU(W1·x_t), v_t = the map's mean over places; each is attended to with the question.
"""

from collections.abc import Callable

from torch import Tensor, nn

from iemf.avqa.answer import Answering, AnswerNetwork
from iemf.avqa.attention import QuestionGuidedAttention
from iemf.avqa.layers import audio_layers, visual_layer
from iemf.avqa.question_encoder import QuestionEncoder
from iemf.network import Output


class Baseline(Answering, nn.Module):
    """audio [B, T, D_a], visual [B, T, C, H, W], words [B, L] -> :class:`iemf.network.Output`.

    Args:
        audio_size, visual_size: D_a and C.
        words, answers: sizes of the vocabulary.
        width: of the question, of both attended features and of the fusion.
        activation: around the fusion layer.
        train_encoders_by_heads: see :class:`iemf.avqa.answer.AnswerNetwork`.
    """

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
        self.audio = audio_layers(audio_size, width)
        self.visual = visual_layer(visual_size, width)
        self.attention_audio, self.attention_visual = (QuestionGuidedAttention(width) for _ in range(2))
        self.answer = AnswerNetwork(width, answers, activation, train_encoders_by_heads)

    def forward(self, audio: Tensor, visual: Tensor, words: Tensor) -> Output:
        q = self.question(words)
        a = self.attention_audio(q, self.audio(audio))
        v = self.attention_visual(q, self.visual(visual.mean(dim=(3, 4))))
        return self.answer(a, v, q)

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """By modality; the question's belongs to both."""
        return {"audio": nn.ModuleList([self.audio, self.attention_audio]),
                "visual": nn.ModuleList([self.visual, self.attention_visual])}  # fmt: skip
