"""The code of the pages runs as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import iemf
from tests.conftest import ROOT
from tests.docs.pages import PAGES, blocks


def test_the_lines_for_ones_own_model_run_as_they_stand():
    """Three modalities of different width; ξ must have reached the fusion's last gradient."""
    torch.manual_seed(0)
    encoders = torch.nn.ModuleList(torch.nn.Linear(n, 6) for n in (4, 5, 7))
    heads = torch.nn.ModuleList(torch.nn.Linear(6, 3) for _ in range(3))
    fusion = torch.nn.Linear(18, 3)
    parameters = [*encoders.parameters(), *heads.parameters(), *fusion.parameters()]
    space = {
        "encoders": encoders,
        "heads": heads,
        "fusion": fusion,
        "optimizer": torch.optim.SGD(parameters, lr=0.1),
        "batches": [([torch.randn(8, n) for n in (4, 5, 7)], torch.arange(8) % 3) for _ in range(3)],
    }
    gradients = []
    fusion.weight.register_post_accumulate_grad_hook(lambda p: gradients.append(p.grad.clone()))
    loop, adam = blocks("python")
    exec(compile(loop, "README", "exec"), space)
    torch.testing.assert_close(fusion.weight.grad, space["xi"] * gradients[-1])
    assert not torch.equal(fusion.weight.grad, gradients[-1])
    exec(compile(adam, "README", "exec"), space)
    assert isinstance(space["effect"], iemf.InverseEffectiveness)
    assert space["effect"].scale == "step"


EXTENDING = blocks("python", PAGES["docs/extending.md"])


def run_block(number: int, space: dict | None = None) -> dict:
    """The names that a block of extending.md leaves."""
    space = {} if space is None else space
    exec(compile(EXTENDING[number], f"extending.md, block {number}", "exec"), space)
    return space


@pytest.fixture
def methods():
    """Those registered, without what a test adds."""
    from iemf.balance import METHODS

    before = dict(METHODS)
    yield METHODS
    METHODS.clear()
    METHODS.update(before)


def test_the_page_has_as_many_blocks_as_are_tested():
    assert len(EXTENDING) == 7


def test_the_method_of_the_page_slows_the_encoder_that_is_ahead(methods, make_network, batch):
    run_block(0)
    network = make_network()
    method = methods["handicap"](network)
    audio, visual, labels = batch
    output = network(audio, visual)
    method.loss(method.cross_entropy(output.logits.fused, labels), output, labels, 0).backward()
    before = {name: encoder.conv.weight.grad.clone() for name, encoder in network.encoders.items()}
    method.on_validation({"audio": 40.0, "visual": 80.0, "fused": 90.0}, 0)
    method.on_gradients(output, labels, 1)
    torch.testing.assert_close(network.audio_encoder.conv.weight.grad, before["audio"])
    torch.testing.assert_close(network.visual_encoder.conv.weight.grad, before["visual"] / 2)
    resumed = methods["handicap"](network)
    resumed.load_state_dict(method.state_dict())
    assert resumed.factors == {"audio": 1.0, "visual": 0.5}


def test_the_method_of_the_page_is_a_file_that_the_command_line_knows(tmp_path):
    """In a copy of the folder, in a process of its own."""
    for path in (ROOT / "iemf").rglob("*.py"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "iemf" / "balance" / "handicap.py").write_text(EXTENDING[0], encoding="utf-8")
    for name in ("experiments", "iemf_ann", "iemf_snn"):
        (tmp_path / name).symlink_to(ROOT / name)
    options = ["--method", "handicap", "--epochs", "1", "--width", "1", "--out", str(tmp_path / "run"), "--no-progress"]
    done = subprocess.run([sys.executable, "-m", "experiments.classification", *options], cwd=tmp_path, text=True,
                          env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout


def test_the_data_set_of_the_page_is_prepared_and_loaded(tmp_path, monkeypatch):
    """Twenty real files in its layout."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for folder in ("sounds", "pictures"):
        Path("raw", folder).mkdir(parents=True)
    lines = [f"clip{i},{'loud' if i % 2 else 'quiet'}" for i in range(20)]
    Path("raw/clips.csv").write_text("\n".join(lines), encoding="utf-8")
    for i in range(20):
        wave = (0.05 + 0.4 * (i % 2)) * rng.standard_normal(22050).astype(np.float32)
        soundfile.write(f"raw/sounds/clip{i}.wav", wave.clip(-1, 1), 22050)
        Image.fromarray(rng.integers(0, 255, (80, 90, 3), dtype=np.uint8)).save(f"raw/pictures/clip{i}.jpg")
    space = run_block(2, run_block(1))
    data = space["data"]
    assert data.classes == ("loud", "quiet")
    assert [len(data.train), len(data.val), len(data.test)] == [14, 2, 4]
    assert space["wave"].shape == (2 * 22050,)
    assert space["picture"].shape == (3, 64, 64)
    assert set(space["PUBLISHED"].values()) == {20}


def test_the_neurons_of_the_page_go_into_the_network():
    features = run_block(3)["features"]
    assert [list(each.shape) for each in features] == [[3, 32], [3, 32]]
    assert not any(each.isnan().any() for each in features)


def test_the_backend_of_the_page_gives_the_reference_s_spikes():
    from iemf_snn.functional import LIFParameters
    from iemf_snn.kernels import torch_reference

    space = run_block(4)
    parameters = LIFParameters(2.0, 0.5, 0.0, False, 2.0)
    x = torch.rand(4, 50, generator=torch.Generator().manual_seed(0))
    for start in (None, torch.full((50,), 0.3)):
        expected = torch_reference.run(x, start, parameters)
        for ours, theirs in zip(space["run"](x, start, parameters), expected, strict=True):
            assert torch.equal(ours, theirs)
    assert space["unavailable"](x.device, torch.float32) is None
    assert "float32" in space["unavailable"](x.device, torch.float16)


def test_the_encoders_of_the_page_make_a_network():
    assert run_block(5)["output"].logits.fused.shape == (2, 10)


def test_a_third_encoder_is_one_more_entry():
    logits = run_block(6, run_block(5))["output"].logits
    assert list(logits.unimodal) == ["audio", "visual", "depth"]
    assert logits.fused.shape == (2, 10)
