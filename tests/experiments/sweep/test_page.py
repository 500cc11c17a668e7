"""One page of finished runs."""

import json
import re
from html.parser import HTMLParser

import pytest

from experiments.sweep import html, page
from experiments.sweep.page import ReportConfig
from iemf.analysis.figure import panels, save
from iemf.errors import UserError
from iemf.training import RunFolder

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def folders(tmp_path):
    """A sweep of two runs, of which one is not finished, and a folder with a picture alone."""
    sweep, other = tmp_path / "sweep", tmp_path / "other"
    for seed in (0, 1):
        run = RunFolder(sweep / "runs" / f"snn-concat-iemf-seed{seed}")
        run.start({"task": "classification", "network": "snn", "method": "concat", "iemf": True, "seed": seed,
                   "note": EVIL})  # fmt: skip
        run.write_metrics([{"val_accuracy_fused": 50.0 + e, "xi": 1.2} for e in range(3)])
    results = {"test_accuracy": 91.25, "best_epoch": 2, "device": "cpu", "torch": "2.0", "seconds_this_session": 3.0}
    (sweep / "runs" / "snn-concat-iemf-seed0" / "results.json").write_text(json.dumps(results))
    (sweep / "table.md").write_text(f"| method | IEMF |\n| --- | --- |\n| {EVIL} | **91.25** |\n\nA note of `n` = 1.\n")
    other.mkdir()
    save(panels(1, 1, (2, 2))[0], other / "robustness.png")
    return sweep, other


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_runs_nothing(folders, tmp_path):
    page.main(ReportConfig(folders, tmp_path / "out", title=f"All & {EVIL}"))
    text = (tmp_path / "out" / "report.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags.found}
    assert all(re.match("data:image/png;base64,", a["src"]) for tag, a in tags.found if tag == "img")
    assert sum(tag == "img" for tag, _ in tags.found) == 2  # the curves, the picture of the other folder
    assert all(a["href"].startswith("#") for tag, a in tags.found if tag == "a")
    assert "<td>91.25</td>" in text  # of the run
    assert "<b>91.25</b>" in text  # of the table
    assert "snn-concat-iemf-seed1 (not finished)" in text


def test_markdown_says_the_same(folders, tmp_path):
    page.main(ReportConfig(folders, tmp_path / "out"))
    text = (tmp_path / "out" / "report.md").read_text()
    for picture in re.findall(r"\((pictures/.*?\.png)\)", text):
        assert (tmp_path / "out" / picture).stat().st_size > 100
    assert "| snn-concat-iemf-seed0 " in text
    assert "| iemf    | true " in text  # shared by both
    assert 'snn-concat-iemf-seed1: `{"seed": 1}`' in text


def test_a_folder_without_anything_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no table\.md, picture or runs"):
        page.section_of(tmp_path)
    with pytest.raises(UserError, match="names none"):
        page.main(ReportConfig(()))


def test_text_stays_text():
    assert html.of_markdown(f"# {EVIL}") == "<h2>&lt;script&gt;alert(1)&lt;/script&gt;</h2>"
    assert html.attribute('"><b') == '"&quot;&gt;&lt;b"'
