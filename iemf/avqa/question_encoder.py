"""The question as one vector (Li et al. 2022): q = W·tanh[h; c] + b of an LSTM over tanh(embedded words)."""

import torch
from torch import Tensor, nn


class QuestionEncoder(nn.Module):
    """Words [B, L] int64 -> q [B, width].

    Args:
        words: size of the vocabulary, padding included. The LSTM runs over the padding too, which comes last.
        width: of embeddings, LSTM and q.
    """

    def __init__(self, words: int, width: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.linear = nn.Linear(2 * width, width)

    def forward(self, words: Tensor) -> Tensor:
        _, (hidden, cell) = self.lstm(torch.tanh(self.embedding(words)))
        return self.linear(torch.tanh(torch.cat([hidden[0], cell[0]], dim=1)))
