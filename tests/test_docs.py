"""README and pages do what they say, link to what is there, and show what was measured."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import torch

import iemf
from experiments.sweep import command_line
from iemf.balance import METHODS
from tests.conftest import ROOT
from tests.docs import PAGES, README, RESULTS, blocks, script
from tests.experiments import helpers


def test_the_readme_can_be_read():
    assert len(README.splitlines()) <= 150


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


def commands():
    """(page, command) of every line that a reader may type."""
    for name, text in PAGES.items():
        lines = [line for block in blocks("bash", text) for line in block.splitlines()]
        lines += re.findall(r"`((?:python -m experiments\.|iemf [a-z]|bash experiments/)[^`]*)`", text)
        for line in lines:
            yield name, line.split("#")[0].strip()


def test_every_command_knows_its_options():
    """Each python -m and iemf line of the texts is parsed by its program's own options."""
    types, seen = command_line.configs(), 0
    for page, line in commands():
        if not line.startswith(("python -m experiments.", "iemf ")) or line.startswith("iemf COMMAND"):
            continue
        first, *arguments = shlex.split(line.removeprefix("python -m experiments.").removeprefix("iemf "))
        name = first if line.startswith("python") else command_line.COMMANDS.get(first)
        assert name in types, (page, line)
        seen += 1
        if arguments and "--help" not in arguments and not {"NAME", "..."} & set(arguments):
            assert command_line.parse(types[name], arguments, name), (page, line)
    assert seen >= 20


def test_every_script_is_there():
    scripts = {match for _, line in commands() for match in re.findall(r"bash (experiments/\w+\.sh)", line)}
    assert len(scripts) >= 5
    assert all((ROOT / script).exists() for script in scripts)


def anchor_of(heading):
    """As both GitHub and MkDocs make them."""
    return re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    anchors = {name: set(map(anchor_of, re.findall(r"(?m)^#+ (.*)$", text))) for name, text in PAGES.items()}
    prose = re.sub(r"```.*?```|`[^`]*`", "", PAGES[page], flags=re.DOTALL)
    for target in re.findall(r"\]\((?!http)([^)]+)\)", prose):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        name = file.resolve().relative_to(ROOT).as_posix()
        assert not anchor or anchor in anchors[name], target


def test_every_table_is_the_measured_one():
    tables = script("tables")
    shown = []
    for name, text in PAGES.items():
        assert tables.with_tables(text) == text, f"{name}: python docs/tables.py"
        shown += tables.PLACE.findall(text)
    expected = {"av_digits/table.md", "continual/table.md", "avqa/table.md", "avqa_snn/table.md"}
    expected |= {f"benchmark/{what}.md" for what in ("lif", "step", "loader", "features", "avqa")}
    assert set(shown) == expected
    rows = {line for name in shown for line in (RESULTS / name).read_text(encoding="utf-8").splitlines()}
    for name, text in PAGES.items():  # a number beside a deviation stands in a measured table or nowhere
        for line in text.splitlines():
            assert line in rows or not (line.startswith("|") and " ± " in line), (name, line)


def test_the_findings_are_computed():
    findings = script("findings")
    assert f"<!-- findings -->\n{findings.table()}\n<!-- end -->" in README
    assert findings.told([[1.0, 3.0], [-1.0, 0.0]]) == "-0.5 to +2.0 (2 up, 1 down)"


def test_both_models_beat_the_blind_ones_by_the_margin_that_is_told():
    """Audio-visual questions, every network, variant and seed."""
    cells = json.loads((RESULTS / "avqa" / "results.json").read_text(encoding="utf-8"))["cells"]
    means = {bool(cell["blind"]): [] for cell in cells}
    for cell in cells:
        values = cell["test_accuracy_by_type"]["av_avg"]["values"]
        means[bool(cell["blind"])].append(dict(zip(cell["seeds"], values, strict=True)))
    margins = [[row[seed] - max(blind[seed] for blind in means[True]) for seed in row] for row in means[False]]
    assert len(margins) == 6
    assert all(len(row) == 3 for row in margins)
    assert min(map(min, margins)) > 9
    found = sorted(sum(row) / 3 for row in margins)
    assert f"{found[0]:.1f} to {found[-1]:.1f} points ahead of the best blind baseline" in PAGES["docs/avqa.md"]


def quickstart():
    """What a newcomer types."""
    return next(block for block in blocks("bash") if "quickstart" in block).split("&& ")[1].split()


def test_the_quickstart_trains_16_runs_and_repeats_nothing(tmp_path):
    """What its script asks for, all 16 runs, cut to two short epochs and few digits; then again."""
    assert quickstart() == ["bash", "experiments/quickstart.sh"]
    short = ["--epochs", 2, "--width", 1, "--batch-size", 240, "--time-steps", 1, "--no-progress"]
    calls, done = helpers.asked("quickstart.sh", tmp_path / "here", *short, OUT=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    [(name, options)] = calls
    with helpers.fast(), helpers.pool_of_one(), helpers.few_digits():
        for message in ("16 to go", "16 finished, 0 to go"):
            code, out, error = helpers.call(name, *options)
            assert code == 0, error
            assert message in out
            for method in ("Concat", "MSLR", "OGM-GE", "LFM"):
                assert out.count(f"| {method} ") == 2  # ANN and SNN
    for name in ("table.md", "results.json", "accuracy.png", "xi_over_epochs.png", "firing_rates.png"):
        assert (tmp_path / "out" / name).stat().st_size > 0


def test_the_quickstart_as_a_newcomer_types_it(tmp_path):
    """The script itself, cut to one run, in processes of its own."""
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"OUT": str(tmp_path / "out"), "PATH": path}
    short = ["--epochs", "1", "--width", "1", "--batch-size", "500", "--methods", "concat", "--networks", "ann"]
    done = subprocess.run([*quickstart(), *short, "--iemf"], cwd=ROOT, env=environment, capture_output=True, text=True,
                          timeout=400)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1 to go" in done.stdout
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").strip() in done.stdout


@pytest.fixture
def only_known_methods():
    """The page registers a method; other tests must not see it."""
    known = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(known)


def test_the_worked_method_and_the_worked_data_set_run(accelerator, make_network, batch, only_known_methods):
    method, data_set = blocks("python", PAGES["docs/extending.md"])
    space = {"__name__": "extending"}
    exec(compile(method, "extending.md", "exec"), space)
    network = make_network()
    assert METHODS["focal"](network).loss(network(*batch[:2]), batch[2], 0) > 0
    exec(compile(data_set, "extending.md", "exec"), space)
    assert len(space["history"]) == 3
    assert space["history"][0]["xi"] > 0
    assert set(space["accuracies"]) == {"audio", "visual", "fused"}


def test_the_install_commands_name_extras_that_exist():
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    for text in PAGES.values():
        for extras in re.findall(r"\.\[([a-z0-9,]+)\]", text):
            for extra in extras.split(","):
                assert f'"{extra}":' in source


@pytest.mark.parametrize("word", ["RESULTS_", "_MINUTES", "_TABLE", "_TEXT", "AVQA_", "TESTMINUTES", "https://REPO"])
def test_no_place_was_left_to_fill(word):
    assert not [name for name, text in PAGES.items() if word in text]


def test_the_citation_has_what_is_needed():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    keys = {line.split(":")[0] for line in lines if line and not line.startswith((" ", "-"))}
    assert {"cff-version", "message", "title", "authors", "version", "license", "references"} <= keys
    assert f"version: {iemf.__version__}" in lines
