"""fc_answer(act(fc_fusion(act[a; v]) ⊙ q)): by hand, in the form of Li et al. and in the released one."""

import pytest
import torch

from iemf.avqa.answer import AnswerNetwork


@pytest.mark.parametrize("activation", [torch.nn.Tanh, torch.nn.Identity], ids=["paper", "released"])
def test_the_answer_by_hand(activation):
    """Width 1: a = 0.5, v = -1, q = 2; fc_fusion = 3·[.] + 4·[.] + 1, fc_answer = 2·. - 1."""
    network = AnswerNetwork(1, 1, activation)
    with torch.no_grad():
        network.fc_fusion.weight.copy_(torch.tensor([[3.0, 4.0]]))
        network.fc_fusion.bias.fill_(1.0)
        network.fc_answer.weight.fill_(2.0)
        network.fc_answer.bias.fill_(-1.0)
    a, v, q = (torch.tensor([[value]]) for value in (0.5, -1.0, 2.0))
    found = network(a, v, q).logits.fused.item()
    if activation is torch.nn.Identity:
        expected = 2 * ((3 * 0.5 + 4 * -1 + 1) * 2) - 1  # -7
    else:
        tanh = torch.tanh
        inner = 3 * tanh(torch.tensor(0.5)) + 4 * tanh(torch.tensor(-1.0)) + 1
        expected = (2 * tanh(inner * 2) - 1).item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_words_are_padded_behind():
    from iemf.avqa.questions import Question
    from iemf.avqa.vocabulary import build, encode

    asked = [Question(1, "v", ("Audio", "Counting"), ("how", "many"), "two")]
    words = encode(asked, build(asked)).words[0]
    assert (words[:2] > 0).all()
    assert (words[2:] == 0).all()
