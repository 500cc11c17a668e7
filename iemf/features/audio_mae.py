"""AudioMAE (Huang et al. 2022) as frozen encoder: ten seconds of sound become 768 numbers.

A vision transformer over Kaldi filter banks, 1024 frames of 10 ms x 128 mel bands; the mean of its patch tokens. The
banks are scaled as AudioMAE was trained. (The features that Pian et al. 2023 publish were made at about 11.4 kHz and
without that scaling; these are made at AudioMAE's own 16 kHz and with it, so the two kinds are not to be mixed.)
"""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.compliance import kaldi

from iemf.data import audio
from iemf.errors import UserError
from iemf.features.weights import read_state_dict

DEFAULT = "gaunernst/vit_base_patch16_1024_128.audiomae_as2m"
SAMPLE_RATE = 16000  # Hz
FRAMES, BANDS = 1024, 128
MEAN, DEVIATION = -4.2677393, 4.5689974  # of AudioSet's filter banks; AudioMAE divides by twice the deviation
BASE = {"img_size": (FRAMES, BANDS), "in_chans": 1, "num_classes": 0, "global_pool": "avg"}
PRETRAINING = ("decoder", "mask_token", "head.", "norm_pix")  # parts of the release that no encoder has


class AudioMAE(nn.Module):
    """Filter banks [B, 1, 1024, 128] to features [B, D].

    Args:
        name: of weights for timm on the Hugging Face hub, a local folder of them, or a file with the state dict of a
            ViT-B/16, as AudioMAE's authors release it.

    Attributes:
        shape: (D,) of a clip; (768,).

    Raises:
        UserError: the package timm is missing, or the weights cannot be had or are of another network.
    """

    def __init__(self, name: str = DEFAULT) -> None:
        super().__init__()
        try:
            import timm
        except ImportError:
            raise UserError('AudioMAE needs the package timm: pip install -e ".[extract]"') from None
        path = Path(name).expanduser()
        if path.is_file():
            self.network = _from_file(path)
        else:
            source = f"local-dir:{path}" if path.is_dir() else f"hf_hub:{name}"
            try:
                self.network = timm.create_model(source, pretrained=True, num_classes=0, global_pool="avg")
            except Exception as error:  # damaged weights make their reader fail in any way whatever
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"`audio_mae` {name}: no weights of AudioMAE ({reason}); name a hub model, a local "
                                f"folder or a file") from None  # fmt: skip
        patches = getattr(self.network, "patch_embed", None)
        if getattr(patches, "img_size", None) != (FRAMES, BANDS) or patches.proj.in_channels != 1:
            raise UserError(f"`audio_mae` {name} is no AudioMAE: it does not see filter banks of {FRAMES} x {BANDS}")
        self.shape = (self.network.num_features,)
        self.eval()

    def forward(self, banks: Tensor) -> Tensor:
        return self.network((banks - MEAN) / (2 * DEVIATION))


def _from_file(path: Path) -> nn.Module:
    """A ViT-B/16 with a released state dict; without fc_norm, the final norm is applied to each token."""
    import timm

    state = {name: value for name, value in read_state_dict(path).items() if not name.startswith(PRETRAINING)}
    network = timm.create_model("vit_base_patch16_224", fc_norm="fc_norm.weight" in state, **BASE)
    if "pos_embed" in state:
        # Released with a place for the class token, which timm's has too.
        state["pos_embed"] = state["pos_embed"].reshape(1, -1, network.num_features)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} is no AudioMAE of ViT-B/16: {' '.join(str(error).split())[:200]}") from None
    return network


def filter_banks(sound: Tensor) -> Tensor:
    """Sound [n] at 16 kHz to log filter banks [1, 1024, 128]; shorter sound is followed by zeros, longer is cut."""
    sound = sound - sound.mean()
    window = round(0.025 * SAMPLE_RATE)
    if len(sound) < window:
        sound = F.pad(sound, (0, window - len(sound)))
    banks = kaldi.fbank(sound[None], htk_compat=True, sample_frequency=SAMPLE_RATE, use_energy=False,
                        window_type="hanning", num_mel_bins=BANDS, dither=0.0, frame_shift=10)[:FRAMES]  # fmt: skip
    return F.pad(banks, (0, 0, 0, FRAMES - len(banks)))[None]


def read_banks(path: Path) -> Tensor:
    """The filter banks of a film's sound.

    Raises:
        UserError: it has no sound, or cannot be decoded.
    """
    return filter_banks(audio.read(path, SAMPLE_RATE, FRAMES / 100 + 0.1))
