"""The README does what it says."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch

import iemf
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = ROOT / "experiments" / "results" / "av_digits"


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


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


def test_every_command_of_the_readme_knows_its_options(tmp_path):
    """Each python -m line, of docs/ too, is parsed by its module's own options."""
    texts = (README, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")))
    lines = [line for text in texts for block in blocks("bash", text) for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("python -m")]
    assert len(commands) >= 8
    from experiments import cli
    from experiments.avqa import AVQAConfig
    from experiments.benchmark import BenchmarkConfig
    from experiments.compare import CompareConfig
    from experiments.continual import ContinualConfig
    from experiments.extract import ExtractConfig
    from experiments.firing_rates import FiringRatesConfig
    from experiments.options import RunConfig
    from experiments.prepare import PrepareConfig
    from experiments.robustness import RobustnessConfig

    types = {"classification": RunConfig, "compare": CompareConfig, "firing_rates": FiringRatesConfig,
             "benchmark": BenchmarkConfig, "prepare": PrepareConfig, "robustness": RobustnessConfig,
             "continual": ContinualConfig, "extract": ExtractConfig, "avqa": AVQAConfig}  # fmt: skip
    for command in commands:
        module, *arguments = command.removeprefix("python -m experiments.").split()
        assert cli.parse(types[module], arguments, module)


def test_every_file_the_readme_links_to_is_there():
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_table_is_the_measured_one():
    table, _, note = (RESULTS / "table.md").read_text(encoding="utf-8").strip().rpartition("\n\n")
    assert table in README
    assert note


@pytest.mark.parametrize("what", ["lif", "step", "loader", "features", "avqa"])
def test_the_benchmarks_are_the_measured_ones(what):
    measured = (RESULTS.parent / "benchmark" / f"{what}.md").read_text(encoding="utf-8").strip()
    assert measured in README


@pytest.mark.parametrize("what", ["continual", "avqa", "avqa_snn"])
def test_the_tables_of_features_are_the_measured_ones(what):
    assert (RESULTS.parent / what / "table.md").read_text(encoding="utf-8").strip() in README


def test_both_models_beat_the_blind_ones_by_the_margin_of_the_readme():
    """Audio-visual questions, every network, variant and seed."""
    cells = json.loads((RESULTS.parent / "avqa" / "results.json").read_text(encoding="utf-8"))["cells"]
    means = {bool(cell["blind"]): [] for cell in cells}
    for cell in cells:
        means[bool(cell["blind"])].append({run["seed"]: run["test_accuracy_by_type"]["av_avg"] for run in cell["runs"]})
    margins = [[row[seed] - max(blind[seed] for blind in means[True]) for seed in row] for row in means[False]]
    assert len(margins) == 6
    assert all(len(row) == 3 for row in margins)
    assert min(map(min, margins)) > 9
    found = sorted(sum(row) / 3 for row in margins)
    assert f"{found[0]:.1f} to {found[-1]:.1f} points ahead of the best blind baseline" in README


def test_the_quickstart_as_a_newcomer_types_it(tmp_path):
    """The script itself, all 16 runs, cut to two short epochs; then again, to see that it repeats nothing."""
    script = next(block for block in blocks("bash") if "quickstart" in block).split("&& ")[1].split()
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"OUT": str(tmp_path / "out"), "PATH": path}
    short = ["--epochs", "2", "--width", "1", "--batch-size", "500", "--time-steps", "1"]
    for message in ("16 to go", "16 finished, 0 to go"):
        done = subprocess.run([*script, *short], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
        assert message in done.stdout
        for method in ("Concat", "MSLR", "OGM-GE", "LFM"):
            assert done.stdout.count(f"| {method} ") == 2  # ANN and SNN
    for name in ("table.md", "results.json", "accuracy.png", "xi_over_epochs.png", "firing_rates.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0


def test_the_install_commands_name_extras_that_exist():
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    for extras in re.findall(r"\.\[([a-z0-9,]+)\]", README):
        for extra in extras.split(","):
            assert f'"{extra}":' in source


@pytest.mark.parametrize("word", ["RESULTS_", "_MINUTES", "_TABLE", "_TEXT", "AVQA_"])
def test_no_place_was_left_to_fill(word):
    assert word not in README
