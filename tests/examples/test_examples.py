"""Every example runs, and shows what it says. Shorter than as they stand; nothing else is changed."""

import importlib.util
import itertools
import json

import matplotlib
import pytest
import soundfile
import torch

from iemf.data.class_tree import read_tree
from tests.conftest import ROOT

NOTEBOOK = ROOT / "examples" / "digits.ipynb"


def load(name: str):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def one_thread():
    """Tensors this small gain nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_iemf_in_a_model_of_ones_own_learns_three_modalities(one_thread, capsys):
    told = load("own_model").main(steps=200)
    alone = [told[name] for name in ("sound", "image", "touch")]
    assert told["fused"] > 95
    assert told["fused"] > max(alone)
    assert 0 < told["last ξ"] <= 1.7616
    assert capsys.readouterr().out.count("ξ") >= 4


def test_our_neuron_in_a_spikingjelly_network_is_spikingjelly_s(one_thread):
    told = load("lif_in_spikingjelly").main()
    ours, theirs = told["iemf"], told["spikingjelly"]
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
    assert ours["rate"] == pytest.approx(theirs["rate"], rel=1e-3)
    assert ours["accuracy"] > 90
    assert 0 < ours["rate"] < 100


def test_a_method_of_ones_own_is_trained_with_and_without_iemf(one_thread, tmp_path):
    from iemf.balance import METHODS

    before = dict(METHODS)
    try:
        example = load("own_method")
        results = example.main(tmp_path, epochs=1, width=2)
        assert METHODS["late"] is example.Late
        assert results["vanilla"]["xi"] is None
        assert 0 < results["iemf"]["xi"] <= 1.7616
        stored = json.loads((tmp_path / "iemf" / "config.json").read_text(encoding="utf-8"))
        assert stored["method"] == "late"
    finally:
        METHODS.clear()
        METHODS.update(before)


def test_a_folder_of_ones_own_keeps_speakers_and_pictures_apart(tmp_path):
    pytest.importorskip("espeakng_loader", reason="espeak-ng speaks; extra speech")
    own = load("own_data")
    assert own.main(own.Folder(tmp_path, classes=2, train=4, val=1, test=2)) == 14
    tree = read_tree(tmp_path)
    assert tree.classes == ("one", "zero")
    assert {split: len(clips) for split, clips in tree.splits.items()} == {"train": 8, "val": 2, "test": 4}
    assert not [clip for clips in tree.splits.values() for clip in clips if clip.problem]
    voices = list(itertools.chain(*own.VOICES.values()))
    assert len(set(voices)) == len(voices) == 7
    pictures = [path.read_bytes() for path in tmp_path.rglob("*.png")]
    assert len(set(pictures)) == 14
    sounds = [soundfile.read(path)[0] for path in sorted((tmp_path / "train").rglob("*.wav"))]
    assert all(0.2 < len(sound) / 22050 < 1.5 and 0.01 < sound.std() < 0.5 for sound in sounds)


def cells() -> list[dict]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_is_kept_without_outputs():
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert "".join(code[0]["source"]).startswith("%matplotlib inline")


def test_text_stands_before_every_cell_of_code():
    kinds = [cell["cell_type"] for cell in cells()]
    assert all(kinds[place - 1] == "markdown" for place, kind in enumerate(kinds) if kind == "code" and place > 1)


def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    """Its cells of code one after the other, as a short program."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()) or plt.close("all"))
    settings = "EPOCHS, WIDTH, TIME_STEPS = 5, 8, 4"
    place = 'Path(tempfile.mkdtemp(prefix="iemf-digits-"))'
    code = "\n".join("".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code")
    assert settings in code
    assert place in code
    code = code.replace(settings, "EPOCHS, WIDTH, TIME_STEPS = 1, 1, 1").replace(place, f"Path({str(tmp_path)!r})")
    code = "\n".join(line for line in code.splitlines() if not line.startswith("%"))
    exec(compile(code, "digits.ipynb", "exec"), {})
    assert len(shown) == 4
    told = capsys.readouterr().out
    assert told.count("| Concat ") == 2
    assert "firing rate" in told
