"""When to look and listen: attention over time with the question as query (Li et al. 2022).

    x' = attention(q, X, X),  y = LayerNorm(x' + W2·ReLU(W1·x'))

One query a sample, the question; keys and values are the steps.
"""

import torch.nn.functional as F
from torch import Tensor, nn

HEADS = 4
DROPOUT = 0.1


class QuestionGuidedAttention(nn.Module):
    """q [B, D] and X [B, T, D] -> [B, D].

    Args:
        width: D, a multiple of 4; else a ValueError.
    """

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        if width < 1 or width % HEADS:
            raise ValueError(f"width must be a multiple of {HEADS}, got {width}")
        self.attention = nn.MultiheadAttention(width, HEADS, dropout=DROPOUT, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout1, self.dropout2 = nn.Dropout(DROPOUT), nn.Dropout(DROPOUT)
        self.norm = nn.LayerNorm(width)

    def forward(self, question: Tensor, x: Tensor) -> Tensor:
        attended = self.attention(question[:, None], x, x, need_weights=False)[0][:, 0]
        step = self.linear2(self.dropout1(F.relu(self.linear1(attended))))
        return self.norm(attended + self.dropout2(step))
