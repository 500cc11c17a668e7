"""Hooks of the site: pages link to files of the repository as on a code host, and the site carries those files.

`../experiments/results/x.png` in docs/page.md lies outside docs/, where MkDocs does not look. Every file so linked is
copied into the site under repository/, and the link is turned there. index.md is the README, whose links start one
folder higher.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)\)")  # ](../path)
WITHIN = re.compile(r"\]\((?!https?:|#|docs/)([^)]+)\)")  # the README's links to what is not a page
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):(?=<code>)")  # of docstrings; the code that follows says enough


def markdown_of(path: Path, root: Path) -> str:
    """A page's text, with links as pages in docs/ have them; index.md is the README's."""
    if path.name != "index.md":
        return path.read_text(encoding="utf-8")
    readme = (root / "README.md").read_text(encoding="utf-8")
    return WITHIN.sub(r"](../\1)", readme).replace("](docs/", "](")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the linked files into the site."""
    root = Path(config.config_file_path).parent
    pages = [file for file in files.documentation_pages() if "/" not in file.src_uri]
    texts = [markdown_of(Path(file.abs_src_path), root) for file in pages]
    for target in sorted({target for text in texts for target in OUTSIDE.findall(text)}):
        files.append(File.generated(config, f"repository/{target}", abs_src_path=str(root / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links to them."""
    if page.file.src_uri == "index.md":
        markdown = markdown_of(Path(page.file.abs_src_path), Path(config.config_file_path).parent)
    if page.file.src_uri.startswith("repository/"):  # a page of the repository: its docs/ is one folder higher here
        return markdown.replace("](docs/", "](../")
    if "/" in page.file.src_uri:  # the ../ of such a page leads to docs/
        return markdown
    return OUTSIDE.sub(r"](repository/\1)", markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mark the tables of measured numbers for style.css; leave out the role in front of a name in a docstring."""

    def marked(table: re.Match) -> str:
        measured = any(sign in table[0] for sign in (" ± ", " – ", " lose"))
        return f'<div class="measured">{table[0]}</div>' if measured else table[0]

    return TABLE.sub(marked, ROLE.sub("", html))
