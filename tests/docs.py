"""The texts that a user reads, and what stands in them."""

import importlib.util
import re

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
         for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]}  # fmt: skip
RESULTS = ROOT / "experiments" / "results"


def blocks(language, text=README):
    """Code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def script(name):
    """A program of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
