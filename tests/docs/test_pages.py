"""Pages can be read: their size and lines, links and pictures; the site and the citation."""

import re
import subprocess
import sys

import pytest
import yaml

import iemf
from tests.conftest import ROOT
from tests.docs.pages import PAGES, README, blocks, prose


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
