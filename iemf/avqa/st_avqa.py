"""ST-AVQA (Li et al. 2022): grounding in space, then attention over time.

The match network of stage 1 gives a and v_g at every time; both are attended to with the question, and their means
over time are added before they are fused.
"""

from torch import Tensor, nn

from iemf.avqa.answer import Answering
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.pairs import MatchLogits
from iemf.network import Output


class STAVQA(Answering):
    """Grounding, then attention over time; arguments as of :class:`~iemf.avqa.answer.Answering`."""

    def make_senses(self, audio_size: int, visual_size: int, width: int) -> None:
        self.grounding = MatchNetwork(audio_size, visual_size, width)

    def forward(
        self, audio: Tensor, visual: Tensor, words: Tensor, wrong: Tensor | None = None
    ) -> Output | tuple[Output, MatchLogits]:
        """The answer; with ``wrong`` [B, T, C, H, W], pictures of other videos, also whether the match network tells
        pairs apart: both share what is grounded."""
        network = self.grounding
        heard = network.hear(audio)
        grounded = network.grounded(heard, network.places(visual))
        q = self.question(words)
        a = self.attention_audio(q, grounded.audio) + grounded.audio.mean(dim=1)
        v = self.attention_visual(q, grounded.visual) + grounded.visual.mean(dim=1)
        output = self.answer(a, v, q)
        if wrong is None:
            return output
        mismatched = network.grounded(heard, network.places(wrong))
        return output, MatchLogits(network.matches(grounded), network.matches(mismatched))

    @property
    def encoders(self) -> dict[str, nn.Module]:
        """By modality; the sound's layers also say where to look, and belong to both as the question's do."""
        seen = [self.grounding.visual, self.grounding.fc_gl, self.attention_visual]
        return {"audio": self.attention_audio, "visual": nn.ModuleList(seen)}
