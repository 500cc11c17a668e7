"""For MkDocs: pages link to files beside docs/ as they do in the repository; those files go into the site with them."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):\s*(?=<code>)")
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to outside of docs/."""
    root = Path(config.config_file_path).parent
    wanted = set()
    for file in files.documentation_pages():
        if file.abs_src_path:
            wanted |= set(OUTSIDE.findall(Path(file.abs_src_path).read_text(encoding="utf-8")))
    for target in sorted(wanted):
        files.append(File.generated(config, f"repository/{target}", abs_src_path=str(root / target)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to them, as the site has them."""
    return OUTSIDE.sub(r"](repository/\1)", markdown)


def on_page_content(html: str, **_: object) -> str:
    """Names that docstrings mention, without the role of their kind."""
    return ROLE.sub("", html)
