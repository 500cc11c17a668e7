"""The little HTML that a report needs: tables and paragraphs of our own Markdown, figures, one page with its style."""

import html
import re
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; --line: #8884; --back: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: left; vertical-align: top; }
td { white-space: nowrap; } td.long { white-space: normal; overflow-wrap: anywhere; min-width: 16rem; }
th { background: var(--back); }
figure { margin: 1.5rem 0; } figcaption { font-size: .9rem; opacity: .8; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
details { margin: .5rem 0; } summary { cursor: pointer; font-weight: 600; }
nav a { margin-right: 1rem; } p { max-width: 60rem; }
"""
LONG = 48  # characters, from which a cell may break


def escaped(text: str) -> str:
    return html.escape(text, quote=False)


def attribute(text: str) -> str:
    """In quotes, for a tag."""
    return f'"{html.escape(text, quote=True)}"'


def of_markdown(text: str) -> str:
    """Tables, headings and paragraphs; everything else is text.

    >>> of_markdown("a **b**")
    '<p>a <b>b</b></p>'
    """
    blocks = [block.splitlines() for block in re.split(r"\n\s*\n", text.strip()) if block.strip()]
    return "\n".join(_table(lines) if lines[0].lstrip().startswith("|") else _prose(lines) for lines in blocks)


def _prose(lines: Sequence[str]) -> str:
    heading = re.match(r"(#+) (.*)", lines[0])
    if heading and len(lines) == 1:
        level = min(len(heading[1]) + 1, 6)
        return f"<h{level}>{_inline(heading[2])}</h{level}>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escaped(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def _table(lines: Sequence[str]) -> str:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0])
    body = "\n".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows[2:])
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(text: str) -> str:
    return f'<td class="long">{_inline(text)}</td>' if len(text) > LONG else f"<td>{_inline(text)}</td>"


def heading(name: str) -> str:
    """Of a section, that links lead to."""
    return f"<h2 id={attribute(name)}>{escaped(name)}</h2>"


def figure(png: str, caption: str) -> str:
    """A picture inside the page, from base64."""
    return (f'<figure><img alt={attribute(caption)} src="data:image/png;base64,{png}">'
            f"<figcaption>{escaped(caption)}</figcaption></figure>")  # fmt: skip


def details(summary: str, content: str) -> str:
    """Folded until it is asked for."""
    return f"<details><summary>{escaped(summary)}</summary>\n{content}\n</details>"


def page(title: str, names: Sequence[str], sections: Iterable[str]) -> str:
    """The whole document."""
    links = "".join(f"<a href={attribute('#' + name)}>{escaped(name)}</a>" for name in names)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escaped(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escaped(title)}</h1>\n<nav>{links}</nav>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )
