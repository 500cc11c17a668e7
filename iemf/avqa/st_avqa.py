"""ST-AVQA (Li et al. 2022): grounding in space, then attention over time.

The match network of stage 1 gives a and v_g at every time; both are attended to with the question, and their means
over time are added before they are fused.
"""

from collections.abc import Callable

from torch import Tensor, nn

from iemf.avqa.answer import Answered, AnswerNetwork
from iemf.avqa.attention import QuestionGuidedAttention
from iemf.avqa.grounding import Grounded, MatchNetwork
from iemf.avqa.question_encoder import QuestionEncoder


class STAVQA(nn.Module):
    """audio [B, T, D_a], visual [B, T, C, H, W], words [B, L] -> :class:`~iemf.avqa.answer.Answered`.

    Arguments as those of :class:`~iemf.avqa.baseline.Baseline`.
    """

    def __init__(
        self,
        audio_size: int,
        visual_size: int,
        words: int,
        answers: int,
        width: int = 512,
        activation: Callable[[], nn.Module] = nn.Tanh,
    ) -> None:
        super().__init__()
        self.question = QuestionEncoder(words, width)
        self.grounding = MatchNetwork(audio_size, visual_size, width)
        self.attention_audio, self.attention_visual = (QuestionGuidedAttention(width) for _ in range(2))
        self.answer = AnswerNetwork(width, answers, activation)

    def forward(self, audio: Tensor, visual: Tensor, words: Tensor) -> Answered:
        heard, places = self.grounding.hear(audio), self.grounding.places(visual)
        return self.answered(self.grounding(heard, places), words)

    def answered(self, grounded: Grounded, words: Tensor) -> Answered:
        """From what is grounded already, so that the match loss and the answer share it."""
        q = self.question(words)
        a = self.attention_audio(q, grounded.audio) + grounded.audio.mean(dim=1)
        v = self.attention_visual(q, grounded.visual) + grounded.visual.mean(dim=1)
        return self.answer(a, v, q)
