"""README and pages say what is so: commands, options, links, tables, code."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
import soundfile
import torch
import yaml
from PIL import Image
from scipy.stats import ttest_1samp

import iemf
from tests.conftest import ROOT
from tests.experiments import helpers

FILES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
README = PAGES["README.md"]
RESULTS = ROOT / "experiments" / "results"
SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def inline(text: str) -> list[str]:
    """Code within lines."""
    return re.findall(r"`([^`\n]+)`", prose(text))


# Form ----------------------------------------------------------------------------------------------------------------


def test_the_readme_is_one_page():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("command", ['pip install -e ".[digits]" && bash experiments/quickstart.sh',
                                     'pip install -e ".[test]" && pytest'])  # fmt: skip
def test_the_two_commands_stand_there_word_by_word(command):
    assert f"{command}\n" in blocks("bash")


@pytest.mark.parametrize("page", PAGES)
def test_no_line_is_too_long_to_read(page):
    """Tables, pictures, links and commands cannot be broken."""
    lines = [line for line in prose(PAGES[page]).splitlines() if not line.startswith("|") and "](" not in line]
    assert max(map(len, lines), default=0) <= 130


@pytest.mark.parametrize("page", PAGES)
def test_no_place_was_left_to_fill(page):
    assert not re.search(r"RESULTS_|_MINUTES|_TABLE|_TEXT|AVQA_|TODO|FIXME|XXX", PAGES[page])


# Links ---------------------------------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """Of a page's headings, as code hosts and MkDocs make them."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(PAGES[page])):
        path, _, anchor = target.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        assert place.exists(), target
        if anchor:
            text = README if place == ROOT / "docs" / "index.md" else place.read_text(encoding="utf-8")
            assert anchor in anchors(text), target


# Numbers -------------------------------------------------------------------------------------------------------------


def test_every_measured_table_is_shown_and_every_shown_table_is_there():
    shown = {name for text in PAGES.values() for name in SNIPPET.findall(text)} - {"README.md"}
    measured = {path.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("*.md")}
    assert shown == measured
    assert SNIPPET.findall(PAGES["docs/index.md"]) == ["README.md"]


@pytest.mark.parametrize("page", PAGES)
def test_no_measured_number_was_copied_into_a_table(page):
    rows = [line for line in PAGES[page].splitlines() if line.startswith("|")]
    assert not [row for row in rows if "±" in row]


def cells(folder: str, quantity: str) -> dict[tuple[str, str, str], dict[int, float]]:
    """{(network, method or model, variant): {seed: number}}, blind models aside."""
    found = {}
    for cell in json.loads((RESULTS / folder / "results.json").read_text(encoding="utf-8"))["cells"]:
        if cell.get("blind"):
            continue
        by_run = {run["seed"]: run[quantity] for run in cell.get("runs", ())}
        by_seed = by_run or dict(zip(cell["seeds"], cell[quantity]["values"], strict=True))
        found[cell["network"], cell.get("method") or cell["model"], cell["variant"]] = by_seed
    return found


FINDINGS = (
    ("classification, accuracy", "av_digits", "ann", "test_accuracy"),
    ("classification, accuracy", "av_digits", "snn", "test_accuracy"),
    ("class-incremental, AIA", "continual", "ann", "mean_accuracy"),
    ("class-incremental, AIA", "continual", "snn", "mean_accuracy"),
    ("question answering, accuracy", "avqa", "ann", "test_accuracy"),
    ("question answering, accuracy", "avqa_snn", "snn", "test_accuracy"),
)


def differences(folder: str, network: str, quantity: str, more: str, less: str) -> list[list[float]]:
    """A list a row of the task's table, of differences paired by seed."""
    measured = cells(folder, quantity)
    names = [name for of, name, variant in measured if of == network and variant == more]
    pairs = [(measured[network, name, more], measured[network, name, less]) for name in names]
    return [[ours[seed] - theirs[seed] for seed in ours] for ours, theirs in pairs]


def told(rows: list[list[float]]) -> str:
    """As the README words it."""
    means = [fmean(row) for row in rows]
    span = f"{min(means):+.2f} to {max(means):+.2f}" if len(rows) > 1 else f"{means[0]:+.2f}"
    passed = [mean for mean, row in zip(means, rows, strict=True) if ttest_1samp(row, 0).pvalue < 0.05]
    return f"{span}; {sum(mean > 0 for mean in passed)} gain, {sum(mean < 0 for mean in passed)} lose"


def test_the_findings_are_computed_from_the_results():
    """To mend it after new results, copy the rows that the message shows."""
    rows = []
    for name, folder, network, quantity in FINDINGS:
        joint = differences(folder, network, quantity, "joint", "vanilla")
        effect = differences(folder, network, quantity, "iemf", "joint")
        n = f"{len(joint)} x {len(joint[0])}"
        rows.append(f"| {name} | {network.upper()} | {n} | {told(joint)} | {told(effect)} |")
    assert "\n".join(rows) in README


def test_how_many_runs_are_best_at_their_last_epoch():
    with open(RESULTS / "av_digits" / "results.csv", encoding="utf-8") as file:
        best = [int(row["best_epoch"]) for row in csv.DictReader(file)]
    assert f"{best.count(max(best))} of the {len(best)} classification runs" in " ".join(README.split())


def test_no_row_gains_by_the_coefficient():
    """What the README says in bold."""
    assert "No row shows a gain of ξ" in README
    assert all(", ".join(told(differences(*rest, "iemf", "joint")).split("; ")[1:]).startswith("0 gain")
               for _, *rest in FINDINGS)  # fmt: skip


def test_both_models_beat_the_blind_ones_by_the_margin_of_the_page():
    """Audio-visual questions, every network, variant and seed."""
    stored = json.loads((RESULTS / "avqa" / "results.json").read_text(encoding="utf-8"))["cells"]
    means = {bool(cell["blind"]): [] for cell in stored}
    for cell in stored:
        values = cell["test_accuracy_by_type"]["av_avg"]["values"]
        means[bool(cell["blind"])].append(dict(zip(cell["seeds"], values, strict=True)))
    margins = [[row[seed] - max(blind[seed] for blind in means[True]) for seed in row] for row in means[False]]
    assert len(margins) == 6
    assert all(len(row) == 3 for row in margins)
    assert min(map(min, margins)) > 9
    found = sorted(sum(row) / 3 for row in margins)
    assert f"{found[0]:.1f} to {found[-1]:.1f} points ahead of the best blind baseline" in PAGES["docs/avqa.md"]


def test_the_coefficients_of_the_page_are_what_the_code_computes():
    header, _, values = re.search(r"^\| S_uni/S_av .*?\n\n", PAGES["docs/method.md"], re.MULTILINE | re.DOTALL)[
        0
    ].splitlines()[:3]
    ratios, xis = ([float(cell) for cell in line.split("|")[2:-1]] for line in (header, values))
    assert len(ratios) == 7
    for ratio, xi in zip(ratios, xis, strict=True):
        assert float(iemf.inverse_effectiveness(ratio, 1.0)) == pytest.approx(xi, abs=5e-5)


# Commands ------------------------------------------------------------------------------------------------------------


def commands(page: str) -> list[str]:
    """The lines of a page's bash blocks, comments and continued commands cut."""
    return [line for block in blocks("bash", PAGES[page]) for line in block.splitlines()]


def parse(command: str):
    """The config of a command of this toolkit, by its program's own options."""
    from experiments.sweep import command_line

    words = shlex.split(command, comments=True)
    if words[0] == "iemf":
        name, called = command_line.COMMANDS[words[1]], f"iemf {words[1]}"
        arguments = words[2:]
    else:
        name, called = words[2].removeprefix("experiments."), " ".join(words[:3])
        arguments = words[3:]
    return command_line.parse(command_line.configs()[name], arguments, called, command_line.PROGRAMS[name])


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_block_knows_its_options(page):
    for line in commands(page):
        if line.startswith(("python -m experiments.", "iemf ")):
            assert parse(line)


def test_there_are_commands_to_look_at():
    assert sum(line.startswith("python -m experiments.") for page in PAGES for line in commands(page)) >= 8


@pytest.mark.parametrize("page", PAGES)
def test_every_command_within_a_line_names_a_program_and_options_that_exist(page):
    """These may lack what is required; a required value is not an option that does not exist."""
    from experiments.sweep import command_line

    for code in inline(PAGES[page]):
        words = code.split()
        if words[0] == "iemf" and len(words) > 1:
            name = command_line.COMMANDS[words[1]]
            given = words[2:]
        elif code.startswith("python -m experiments."):
            name = words[2].removeprefix("experiments.")
            given = words[3:]
        else:
            continue
        known = options_of(command_line.configs()[name])
        assert {word for word in given if word.startswith("--")} <= known, code


def options_of(config: type) -> set[str]:
    """Every option of a program."""
    names = {field.name.replace("_", "-") for field in fields(config)}
    singular = {name.removesuffix("s") for name in names & {"networks", "methods", "models"}}
    return {f"--{word}{name}" for name in names | singular for word in ("", "no-")} | {"--help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_option_within_a_line_exists(page):
    from experiments.sweep import command_line

    known = set().union(*map(options_of, command_line.configs().values()))
    assert {code.split()[0] for code in inline(PAGES[page]) if code.startswith("--")} <= known


def test_every_command_is_in_the_readme():
    from experiments.sweep import command_line

    for command in command_line.COMMANDS:
        assert f"`iemf {command}" in README


@pytest.mark.parametrize("page", PAGES)
def test_every_script_is_there(page):
    for name in re.findall(r"bash (experiments/\w+\.sh|\.ci/\w+)", PAGES[page]):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"`(\w+\.sh)`", PAGES[page]):
        assert (ROOT / "experiments" / name).is_file(), name


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_in_a_line_is_there(page):
    """Files of one's own are told by the words before them."""
    own = {"iemf/balance/handicap.py"}
    for name in inline(PAGES[page]):
        if (
            re.fullmatch(r"(iemf|iemf_ann|iemf_snn|experiments|docs|examples|tests)(/[\w.]+)+/?", name)
            and name not in own
        ):
            assert (ROOT / name).exists(), name


def test_the_install_commands_name_extras_that_exist():
    source = (ROOT / "setup.py").read_text(encoding="utf-8")
    found = [extra for text in PAGES.values() for part in re.findall(r"\.\[([a-z0-9,]+)\]", text)
             for extra in part.split(",")]  # fmt: skip
    assert {"digits", "test", "docs"} <= set(found)
    for extra in found:
        assert f'"{extra}":' in source


def quickstart() -> list[str]:
    """What a newcomer types."""
    return next(block for block in blocks("bash") if "quickstart" in block).split("&& ")[1].split()


def test_the_quickstart_trains_8_runs_and_repeats_nothing(tmp_path):
    """What its script asks for, all 8 runs, cut to two short epochs and few digits; then again."""
    assert quickstart() == ["bash", "experiments/quickstart.sh"]
    short = ["--epochs", 2, "--width", 1, "--batch-size", 240, "--time-steps", 1, "--no-progress"]
    calls, done = helpers.asked("quickstart.sh", tmp_path / "here", *short, OUT=tmp_path / "out")
    assert done.returncode == 0, done.stderr
    [(name, options)] = calls
    with helpers.fast(), helpers.pool_of_one(), helpers.few_digits():
        for message in ("8 to go", "8 finished, 0 to go"):
            code, out, error = helpers.call(name, *options)
            assert code == 0, error
            assert message in out
            for method in ("Concat", "MSLR"):
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


# Code ----------------------------------------------------------------------------------------------------------------


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
    assert len(EXTENDING) == 6


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


# The site and the citation -------------------------------------------------------------------------------------------


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason='needs the extra "docs"')
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        html = (tmp_path / "site" / page.relative_to(ROOT / "docs")).with_suffix(".html").read_text(encoding="utf-8")
        assert "--8&lt;--" not in html
        assert "::: iemf" not in html


def test_the_citation_names_the_software_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= citation.keys()
    assert citation["version"] == iemf.__version__
    (paper,) = citation["references"]
    assert "brain-inspired mechanisms" in paper["title"]
    assert paper["authors"] == [{"name": "He et al."}]
    assert "2505.10176" in paper["url"]
