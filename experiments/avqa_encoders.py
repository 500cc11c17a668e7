"""The frozen encoders of av-digits-qa: a small ResNet-18 a modality, trained on AV-Digits' training split alone.

Eleven classes: the digits, and noise alone, as silence sounds and an empty place looks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

import iemf_ann
from iemf.avqa.av_digits_qa import NOISE, NOTHING, noisy
from iemf.data import av_digits
from iemf.data.noise import draw_snr
from iemf.seeds import Stream, mix_seed

WIDTH = 8
EPOCHS = 12
BATCH = 100
RATE = 3e-3
SEED = 0
BLANKS = 150  # as many as of a digit


class Standardised(nn.Module):
    """An encoder's features with mean 0 and variance 1 over its training samples."""

    def __init__(self, body: nn.Module, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) - self.mean) / self.deviation


def draw(clean: Tensor, snr_range: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Every sample once under fresh noise, then the blanks."""
    rows = torch.cat([torch.arange(len(clean)), torch.full((BLANKS,), -1)])
    return noisy(clean, rows, draw_snr(len(rows), *snr_range, generator), generator)


def train_one(clean: Tensor, labels: Tensor, snr_range: tuple[float, float], seed: int, progress: bool) -> Standardised:
    """An encoder of clean samples [N, 1, 32, 32]."""
    torch.manual_seed(seed)
    body = iemf_ann.resnet18(1, WIDTH)
    head = nn.Linear(body.features, NOTHING + 1)
    parameters = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=1e-2)
    generator = torch.Generator().manual_seed(seed)
    targets = torch.cat([labels, torch.full((BLANKS,), NOTHING)])
    steps = EPOCHS * -(-len(targets) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in tqdm(range(EPOCHS), "encoder", disable=not progress, leave=False, dynamic_ncols=True):
        x = draw(clean, snr_range, generator)
        for rows in torch.randperm(len(targets), generator=generator).split(BATCH):
            F.cross_entropy(head(body(x[rows])), targets[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    body.eval()
    with torch.inference_mode():
        features = torch.cat([body(part) for part in draw(clean, snr_range, generator).split(500)])
    return Standardised(body, features.mean(0), features.std(0).clamp_min(1e-6)).eval()


def train(progress: bool = True) -> tuple[Standardised, Standardised]:
    """Encoders of sound and of images."""
    pairs = av_digits.load(noise=NOISE).train
    return tuple(
        train_one(pairs.clean[name], pairs.labels, getattr(NOISE, name), mix_seed(Stream.TASK, SEED, number), progress)
        for number, name in enumerate(("audio", "visual"))
    )
