"""README and pages as text, for the tests of what they say."""

import re

from tests.conftest import ROOT

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
