"""Copy every measured table into the page that shows it.

    python docs/tables.py

A page holds a table between ``<!-- NAME.md -->`` and ``<!-- end -->``, NAME.md being a file under experiments/results.
"""

import re
from pathlib import Path

PAGES = Path(__file__).parent
RESULTS = PAGES.parent / "experiments" / "results"
PLACE = re.compile(r"<!-- (\S+\.md) -->\n.*?<!-- end -->", re.DOTALL)


def with_tables(page: str) -> str:
    """The page's text with each table as it was measured."""

    def measured(place: re.Match) -> str:
        return f"<!-- {place[1]} -->\n\n{(RESULTS / place[1]).read_text(encoding='utf-8').strip()}\n\n<!-- end -->"

    return PLACE.sub(measured, page)


if __name__ == "__main__":
    for path in sorted(PAGES.glob("*.md")):
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
