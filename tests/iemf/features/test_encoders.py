"""VideoMAE and AudioMAE: what they see of a film, and what comes out, with weights drawn at random."""

import math

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf
from transformers import VideoMAEConfig, VideoMAEModel

from iemf.errors import UserError
from iemf.features import audio_mae, video_mae
from iemf.features.audio_mae import AudioMAE, filter_banks
from iemf.features.video_mae import VideoMAE, read_frames
from tests.media import write_timed, write_video


def save_video_mae(folder, **config):
    """A VideoMAE with random weights as the hub has them."""
    torch.manual_seed(0)
    VideoMAEModel(VideoMAEConfig(**config)).save_pretrained(folder)
    return str(folder)


def save_audio_mae(folder, name="vit_tiny_patch16_224", **arguments):
    """A timm transformer with random weights as the hub has them."""
    torch.manual_seed(0)
    arguments = audio_mae.BASE | arguments
    network = timm.create_model(name, **arguments)
    save_for_hf(network, str(folder), model_args=arguments, safe_serialization=True)
    return str(folder)


SMALL = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}


def test_video_mae_has_eight_times_and_196_places(tmp_path):
    """The published size but for its depth."""
    network = VideoMAE(save_video_mae(tmp_path, num_hidden_layers=1))
    assert (network.frames, network.side, network.shape) == (16, 224, (8, 196, 768))
    frames = torch.randint(0, 256, (1, 16, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        found = network(frames)
        assert found.shape == (1, 8, 196, 768)
        mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        expected = network.network(pixel_values=(frames / 255 - mean) / deviation).last_hidden_state
    assert torch.equal(found.flatten(1, 2), expected)
    assert expected.shape == (1, 1568, 768)


def test_tokens_come_by_time_then_place(tmp_path):
    """Without position and attention, a token depends on its own patch alone: only one lit place differs."""
    network = VideoMAE(save_video_mae(tmp_path, image_size=32, num_frames=4, **SMALL))
    assert network.shape == (2, 4, 12)
    dark = torch.zeros(1, 4, 3, 32, 32, dtype=torch.uint8)
    lit = dark.clone()
    lit[:, 2:4, :, :16, 16:] = 255  # second time, upper right place
    tokens = [network.network.embeddings.patch_embeddings(x.float() / 255).unflatten(1, (2, 4)) for x in (dark, lit)]
    assert (tokens[0] != tokens[1]).any(-1)[0].tolist() == [[False] * 4, [False, True, False, False]]


def test_frames_are_spread_from_the_first_to_the_last(tmp_path):
    """A film of 20 frames from black to white, 48 x 32 pixels."""
    write_video(tmp_path / "a.mp4", seconds=1, fps=20, size=(96, 64))
    frames = read_frames(tmp_path / "a.mp4", 5, 32)
    assert frames.shape == (5, 3, 32, 32)
    assert frames.dtype == torch.uint8
    red = frames[:, 0].float().mean((1, 2))
    expected = torch.tensor([0, 5, 10, 14, 19]) / 19 * 255  # np.linspace(0, 19, 5) rounds 4.75, 9.5 (to even) and 14.25
    assert torch.allclose(red, expected, atol=10)
    assert len(read_frames(tmp_path / "a.mp4", 40, 32)) == 40  # more than there are


def test_frames_of_a_varying_rate_are_spread_by_time(tmp_path):
    """20 pictures in 2 s, then one a second to 10 s, 28 in all: parts of 10/28 s, of which 0, 9, 18 and 27 are met."""
    write_timed(tmp_path / "a.mp4", [*np.arange(20) / 10, *range(2, 10)], (0.0, 10.0), bright=25)
    shown = read_frames(tmp_path / "a.mp4", 4, 32).float().mean((1, 2, 3)) / 25
    assert shown.tolist() == pytest.approx([0.1, 3, 6, 9], abs=0.1)  # at 0.18, 3.39, 6.61 and 9.82 s


def test_filter_banks_are_of_the_films_first_seconds(tmp_path):
    """Sound from 4 s on is preceded by silence, as it is heard; the mean takes it off zero, but not apart."""
    write_timed(tmp_path / "a.mp4", np.arange(60) / 10, (4.0, 6.0))
    banks = audio_mae.read_banks(tmp_path / "a.mp4")[0].mean(1)
    assert banks[410:590].min() > banks[:390].max() + 2


def test_weights_of_video_mae_with_a_layer_missing_are_refused(tmp_path):
    """The library would draw the layer at random and say so in passing."""
    save_video_mae(tmp_path, image_size=32, num_frames=4, **SMALL)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in state.items() if "attention" not in name}
    assert len(kept) < len(state)
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"no weights of VideoMAE \(.*is missing"):
        VideoMAE(str(tmp_path))


@pytest.mark.parametrize("network", [VideoMAE, AudioMAE])
def test_cut_weights_are_one_line(tmp_path, network):
    if network is VideoMAE:
        save_video_mae(tmp_path, image_size=32, num_frames=4, **SMALL)
    else:
        save_audio_mae(tmp_path, depth=1)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="no weights of ") as caught:
        network(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_transformer_of_images_is_no_audio_mae(tmp_path):
    save_audio_mae(tmp_path, depth=1, img_size=224, in_chans=3)
    with pytest.raises(UserError, match="does not see filter banks of 1024 x 128"):
        AudioMAE(str(tmp_path))


def test_audio_mae_gives_one_vector(tmp_path):
    network = AudioMAE(save_audio_mae(tmp_path, "vit_base_patch16_224", depth=1))
    assert network.shape == (768,)
    with torch.inference_mode():
        assert network(torch.randn(2, 1, 1024, 128)).shape == (2, 768)


def test_the_mean_is_of_patches_alone(tmp_path):
    network = AudioMAE(save_audio_mae(tmp_path, depth=1))
    banks = torch.randn(1, 1, 1024, 128)
    with torch.inference_mode():
        tokens = network.network.forward_features((banks + 4.2677393) / (2 * 4.5689974))
        assert tokens.shape[1] == 513
        expected = network.network.fc_norm(tokens[:, 1:].mean(1))
        torch.testing.assert_close(network(banks), expected)


@pytest.mark.parametrize("norm", ["fc_norm", "norm"])
def test_the_released_file(tmp_path, norm):
    """A state dict under "model", with the decoder that only pretraining needs."""
    torch.manual_seed(0)
    network = timm.create_model("vit_base_patch16_224", fc_norm=norm == "fc_norm", **audio_mae.BASE)
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("head")}
    torch.save(
        {"model": state | {"decoder_embed.weight": torch.zeros(2), "mask_token": torch.zeros(1)}}, tmp_path / "a.pth"
    )
    loaded = AudioMAE(str(tmp_path / "a.pth"))
    assert torch.equal(loaded.network.blocks[3].attn.qkv.weight, network.blocks[3].attn.qkv.weight)
    del state["blocks.0.attn.qkv.weight"]
    torch.save({"model": state}, tmp_path / "b.pth")
    with pytest.raises(UserError, match=r"b\.pth is no AudioMAE of ViT-B/16: .*blocks\.0\.attn\.qkv\.weight"):
        AudioMAE(str(tmp_path / "b.pth"))


def test_filter_banks_are_ten_seconds():
    second = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    banks = filter_banks(second)
    assert banks.shape == (1, 1024, 128)
    assert (banks[0, 98:] == 0).all()  # 1 + (16000 - 400) // 160 frames
    assert (banks[0, :98] != 0).any()
    # 128 bands between 20 Hz (31.7 mel) and 8 kHz (2840.0 mel): 1 kHz, 1000.0 mel, is nearest to centre 44.
    assert banks[0, :98].mean(0).argmax() == 44 - 1
    assert filter_banks(torch.randn(20 * 16000)).shape == (1, 1024, 128)
    assert filter_banks(torch.zeros(3)).shape == (1, 1024, 128)


def test_a_constant_makes_no_difference():
    sound = torch.randn(16000)
    torch.testing.assert_close(filter_banks(sound + 0.5), filter_banks(sound), atol=2e-2, rtol=1e-2)


@pytest.mark.parametrize(("encoder", "option"), [(VideoMAE, "`video_mae`"), (AudioMAE, "`audio_mae`")])
def test_weights_that_are_not_there_are_one_line(tmp_path, encoder, option, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{option} .*empty: no weights of") as caught:
        encoder(str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("module", "package"), [(video_mae.VideoMAE, "transformers"), (audio_mae.AudioMAE, "timm")])
def test_a_missing_package_names_the_remedy(monkeypatch, module, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(UserError, match=rf"needs the package {package}: pip install -e \"\.\[extract\]\""):
        module("x")
