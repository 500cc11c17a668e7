"""IEMF in a PyTorch model of one's own: three modalities, no network and no loop of this toolkit. Seconds on a CPU.

    python examples/own_model.py

Every sample is seen by three noisy senses; each alone says little about its class, together they say much.
"""

import torch
import torch.nn.functional as F
from torch import nn

import iemf

CLASSES, SIZES = 5, (8, 12, 20)


def draw(
    count: int, centres: list[torch.Tensor], generator: torch.Generator
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """(one tensor [count, size] a modality, classes [count]): a centre a class and modality, in noise."""
    y = torch.randint(CLASSES, (count,), generator=generator)
    return [c[y] + 2.0 * torch.randn(count, c.shape[1], generator=generator) for c in centres], y


class Model(nn.Module):
    """An encoder and a head a modality, and a fusion layer."""

    def __init__(self, features: int = 16) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(nn.Sequential(nn.Linear(size, features), nn.ReLU()) for size in SIZES)
        self.heads = nn.ModuleList(nn.Linear(features, CLASSES) for _ in SIZES)
        self.fusion = nn.Linear(features * len(SIZES), CLASSES)

    def forward(self, inputs: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        z = [encoder(x) for encoder, x in zip(self.encoders, inputs, strict=True)]
        return [head(each) for head, each in zip(self.heads, z, strict=True)], self.fusion(torch.cat(z, dim=1))


def main(steps: int = 300) -> float:
    """Train, print ξ on the way, and return the accuracy on fresh samples."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    centres = [torch.randn(CLASSES, size, generator=generator) for size in SIZES]
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    effect = iemf.InverseEffectiveness(model.fusion.parameters())  # 1: once
    for step in range(steps):
        inputs, y = draw(64, centres, generator)
        unimodal, fused = model(inputs)
        loss = F.cross_entropy(fused, y) + sum(F.cross_entropy(logits, y) for logits in unimodal)
        optimizer.zero_grad()
        loss.backward()
        xi = effect.modulate(unimodal=unimodal, fused=fused, labels=y)  # 2: between backward and step
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step:3}: loss {loss:.2f}, ξ {xi:.2f}")
    inputs, y = draw(2000, centres, generator)
    with torch.no_grad():
        unimodal, fused = model(inputs)
    alone = ", ".join(f"{100 * (logits.argmax(1) == y).float().mean():.0f} %" for logits in unimodal)
    together = 100 * (fused.argmax(1) == y).float().mean().item()
    print(f"accuracy: fused {together:.0f} %, each modality alone {alone}")
    return together


if __name__ == "__main__":
    main()
