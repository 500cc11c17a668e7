"""The baseline of question answering (He et al. 2025 after Li et al. 2022): attention over time, no grounding in space.

a_t = W2·ReLU(W1·x_t), v_t = the map's mean over places; each is attended to with the question.
"""

from torch import Tensor, nn

from iemf.avqa.answer import Answering
from iemf.avqa.layers import audio_layers, visual_layer
from iemf.network import Output


class Baseline(Answering):
    """Attention over time alone; arguments as of :class:`~iemf.avqa.answer.Answering`."""

    def make_senses(self, audio_size: int, visual_size: int, width: int) -> None:
        self.audio = audio_layers(audio_size, width)
        self.visual = visual_layer(visual_size, width)

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
