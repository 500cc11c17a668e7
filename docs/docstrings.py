"""For the API pages: a paragraph of a docstring in columns, as equations are, is shown as it stands."""

import re

import griffe

COLUMNS = re.compile(r"\S {2,}\S")


def keep_columns(text: str) -> str:
    """Indent such paragraphs, which makes them code; sections such as Args are left alone."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        "\n".join(f"    {line}" for line in paragraph.splitlines())
        if COLUMNS.search(paragraph) and not paragraph.startswith(" ") and not re.match(r"\w+:\n", paragraph)
        else paragraph
        for paragraph in paragraphs
    )


class KeepColumns(griffe.Extension):
    """Called for every object that has a docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring is not None:
            obj.docstring.value = keep_columns(obj.docstring.value)
