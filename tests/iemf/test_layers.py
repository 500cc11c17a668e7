"""Arrows run one way, and the packages below the command line know nothing of it."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOREIGN = ("--std=c++17", "--fmad=false", "pip install --no-deps")  # of compilers and of pip
OPTION = re.compile(r"--[a-z]")
PROGRAM = re.compile(r"\bexperiments\.\w|python -m (?!pip\b)")


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """The module of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for package in ("iemf", "iemf_ann", "iemf_snn") for path in sources(package)}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file names in its import statements, wherever they stand."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
            # `from package import module` depends on the module; on the package itself where it is something else.
            yield from (name if name in MODULES else base for name in names)


def is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("package", ["iemf", "iemf_ann", "iemf_snn"])
def test_no_word_of_the_command_line(package):
    """A library's errors name fields (see UserError); options and programs are another layer's words."""
    found = []
    for path in sources(package):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for words in FOREIGN:
                line = line.replace(words, "")
            if OPTION.search(line) or PROGRAM.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


ABOVE_DATA = ("iemf.data.preparation", "iemf.data.sets")
FORBIDDEN = [
    ("iemf", (), ("iemf_ann", "iemf_snn", "experiments")),
    ("iemf_ann", (), ("experiments", "iemf_snn")),
    ("iemf_snn", (), ("experiments", "iemf_ann")),
    ("iemf.data", ABOVE_DATA, ABOVE_DATA),
    ("iemf.data.preparation", (), ("iemf.data.sets",)),
]


@pytest.mark.parametrize(("package", "apart_from", "never"), FORBIDDEN)
def test_imports_run_one_way(package, apart_from, never):
    wrong = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        if is_below(module, package) and not any(is_below(module, other) for other in apart_from)
        for imported in imports(path)
        if any(is_below(imported, other) for other in never)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_round_about():
    """A package's __init__ counts as the module that it is: what it imports may not import the package."""
    graph = {module: {name for name in imports(path) if name in MODULES} - {module} for module, path in MODULES.items()}
    assert graph["iemf.data.sets.folder"] >= {"iemf.data.assemble", "iemf.data.audio", "iemf.errors"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
