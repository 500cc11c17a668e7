"""VGGish (Hershey et al. 2017): a convolutional network of log-mel patches, 128 numbers for each second of sound.

Six convolutions of 3 x 3 and four halvings turn a patch of 96 frames x 64 mel bands into 512 maps of 6 x 4; three
linear layers follow, 4096, 4096, 128, each with a ReLU, the last too, as in the first release and the PyTorch port: the
features that are published for MUSIC-AVQA are positive. PCA and quantisation are not part of it.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from iemf.errors import UserError
from iemf.features.weights import read_state_dict

SAMPLE_RATE = 16000  # Hz
PATCH = 96  # frames of 10 ms
BANDS = 64
EMBEDDING = 128
WINDOW, HOP, FFT = 400, 160, 512  # samples: 25 ms, 10 ms
LOWEST, HIGHEST = 125.0, 7500.0  # Hz
FLOOR = 0.01  # added before the logarithm
CHANNELS = ((64,), (128,), (256, 256), (512, 512))  # a halving after each group


def mel(hertz: Tensor) -> Tensor:
    """HTK's mel scale."""
    return 1127.0 * torch.log1p(hertz / 700.0)


def mel_weights() -> Tensor:
    """[257, 64]: triangles that are straight in mel, not in Hz as torchaudio's; the constant part has no weight."""
    bins = mel(torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1, dtype=torch.float64))[:, None]
    low, high = mel(torch.tensor([LOWEST, HIGHEST], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    weights = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)
    weights[0] = 0
    return weights.float()


class LogMel(nn.Module):
    """Sound [n] at 16 kHz to log-mel patches [seconds, 1, 96, 64], the first 96 frames of each second."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", mel_weights(), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, sound: Tensor, seconds: int) -> Tensor:
        """Sound beyond ``seconds`` is cut, missing sound is silence."""
        sound = F.pad(sound[: seconds * SAMPLE_RATE], (0, max(0, seconds * SAMPLE_RATE - len(sound))))
        # The transform lays its window amid FFT samples; so padded, frame k begins at sample k * HOP.
        margin = (FFT - WINDOW) // 2
        pieces = F.pad(sound.view(seconds, SAMPLE_RATE), (margin, margin))
        spectrum = torch.stft(pieces, FFT, HOP, WINDOW, self.window, center=False, return_complex=True).abs()
        return (spectrum.transpose(1, 2) @ self.weights + FLOOR).log()[:, None, :PATCH]


class VGGish(nn.Module):
    """Log-mel patches [N, 1, 96, 64] to embeddings [N, 128]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for group in CHANNELS:
            for channels in group:
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = before * (PATCH // 16) * (BANDS // 16)
        self.embeddings = nn.Sequential(
            nn.Linear(flat, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, EMBEDDING), nn.ReLU()
        )

    def forward(self, patches: Tensor) -> Tensor:
        # The published weights expect frames, bands, channels: channels last.
        return self.embeddings(self.features(patches).permute(0, 2, 3, 1).flatten(1))


def load(path: Path) -> VGGish:
    """VGGish with the weights of a local file: a state dict whose names are features.* and embeddings.*.

    The public PyTorch port has these names (vggish-10086976.pth); what it adds for PCA is passed over.

    Raises:
        UserError: the file is missing, unreadable or of another network.
    """
    network = VGGish()
    state = {name: value for name, value in read_state_dict(path).items() if not name.startswith("pproc.")}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} is no VGGish: {' '.join(str(error).split())[:200]}") from None
    return network.eval()
