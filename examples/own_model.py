"""IEMF in a PyTorch model of one's own: three modalities, Adam, a training loop of thirty lines. A few seconds.

    python examples/own_model.py

The data are made up: a class has a pattern in each of three modalities, every sample shows the three under noise of its
own. One modality alone is unsure of the class, the three together are not.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import iemf

CLASSES = 6
MODALITIES = {"sound": 24, "image": 40, "touch": 12}  # width of the input
NOISE = 2.0


class ThreeSenses(nn.Module):
    """An encoder and a head a modality, and a fusion layer."""

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Linear(size, features), nn.ReLU(), nn.Linear(features, features))
            for size in MODALITIES.values()
        )
        self.heads = nn.ModuleList(nn.Linear(features, CLASSES) for _ in MODALITIES)
        self.fusion = nn.Linear(features * len(MODALITIES), CLASSES)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """(logits of each modality alone, fused logits), all [B, CLASSES]."""
        features = [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]
        unimodal = [head(z) for head, z in zip(self.heads, features, strict=True)]
        return unimodal, self.fusion(torch.cat(features, dim=1))


def draw(patterns: Sequence[Tensor], count: int) -> tuple[list[Tensor], Tensor]:
    """(one tensor [count, size] a modality, labels [count])."""
    labels = torch.randint(CLASSES, (count,))
    return [pattern[labels] + NOISE * torch.randn(count, pattern.shape[1]) for pattern in patterns], labels


def main(steps: int = 400) -> dict[str, float]:
    """Train, and return the accuracies in percent on new samples, with the first and the last ξ."""
    torch.manual_seed(0)
    patterns = [torch.randn(CLASSES, size) for size in MODALITIES.values()]
    model = ThreeSenses()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    # 1: once. Adam would cancel a factor on the gradient, so ξ scales its step.
    effect = iemf.InverseEffectiveness(model.fusion.parameters(), scale="step", optimizer=optimizer)
    first = xi = torch.tensor(float("nan"))
    for step in range(steps):
        inputs, labels = draw(patterns, 64)
        unimodal, fused = model(inputs)
        loss = F.cross_entropy(fused, labels) + sum(F.cross_entropy(logits, labels) for logits in unimodal)
        optimizer.zero_grad()
        loss.backward()
        xi = effect.modulate(unimodal=unimodal, fused=fused, labels=labels)  # 2: between backward and step
        optimizer.step()
        if step == 0:
            first = xi
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:3}   loss {loss.item():.2f}   ξ {xi.item():.3f}")
    inputs, labels = draw(patterns, 5000)
    with torch.no_grad():
        unimodal, fused = model(inputs)
    logits = dict(zip([*MODALITIES, "fused"], [*unimodal, fused], strict=True))
    accuracies = {name: 100 * (each.argmax(1) == labels).float().mean().item() for name, each in logits.items()}
    print("accuracy  " + "   ".join(f"{name} {value:.1f} %" for name, value in accuracies.items()))
    return accuracies | {"first ξ": first.item(), "last ξ": xi.item()}


if __name__ == "__main__":
    torch.set_num_threads(1)  # tensors this small gain nothing from a second thread
    main()
