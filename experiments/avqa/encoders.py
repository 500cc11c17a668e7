"""The frozen encoders of av-digits-qa: a small ResNet-18 a modality, trained on AV-Digits' training split alone.

Eleven classes: the digits, and noise alone, as silence sounds and an empty place looks. Both encoders end in one space
of 16 dimensions, on a sphere, and share the classifier over it: a digit seen and the same digit heard lie close
together, as in encoders that were pre-trained on pairs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

import iemf_ann
from iemf.avqa.av_digits_qa import NOISE, NOTHING, noisy
from iemf.data.noise import Noise, draw_snr
from iemf.data.sets import av_digits
from iemf.seeds import Stream, mix_seed

WIDTH = 8
FEATURES = 16
SHARPNESS = 3.0  # of the softmax over 4 cos
EPOCHS = 30
BATCH = 100
RATE = 3e-3
SEED = 0
BLANKS = 150  # as many as of a digit
MODALITIES = Noise._fields


class Encoder(nn.Module):
    """[n, 1, 32, 32] -> [n, 16] of length 4, so of variance about 1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = iemf_ann.resnet18(1, WIDTH)
        self.linear = nn.Linear(self.body.features, FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.linear(self.body(x)), dim=1) * FEATURES**0.5


def draw(clean: Tensor, snr_range: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Every sample [N, 1, 32, 32] once under fresh noise, then the blanks."""
    rows = torch.cat([torch.arange(len(clean)), torch.full((BLANKS,), -1)])
    return noisy(clean, rows, draw_snr(len(rows), *snr_range, generator), generator)


def train(progress: bool = True) -> tuple[Encoder, Encoder]:
    """Encoders of sound and of images, on the CPU and in evaluation mode."""
    pairs = av_digits.load(noise=NOISE).train
    generator = torch.Generator().manual_seed(mix_seed(Stream.TASK, SEED))
    torch.manual_seed(mix_seed(Stream.TASK, SEED, 1))
    encoders = nn.ModuleList(Encoder() for _ in MODALITIES)
    classes = nn.Parameter(torch.randn(FEATURES, NOTHING + 1))
    targets = torch.cat([pairs.labels, torch.full((BLANKS,), NOTHING)])
    optimizer = torch.optim.AdamW([*encoders.parameters(), classes], lr=RATE, weight_decay=1e-2)
    steps = EPOCHS * -(-len(targets) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in tqdm(range(EPOCHS), "encoders", unit="epoch", disable=not progress, leave=False, dynamic_ncols=True):
        drawn = [draw(pairs.clean[name], getattr(NOISE, name), generator) for name in MODALITIES]
        for rows in torch.randperm(len(targets), generator=generator).split(BATCH):
            for encoder, x in zip(encoders, drawn, strict=True):
                cosines = encoder(x[rows]) @ F.normalize(classes, dim=0)
                F.cross_entropy(SHARPNESS * cosines, targets[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return tuple(encoders.eval())
