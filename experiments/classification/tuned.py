"""What ``experiments.tune`` has chosen, for the runs of a comparison."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments.classification.options import RunConfig
from experiments.classification.search_space import SEARCHED, in_words
from experiments.sweep.options import shown
from iemf.errors import UserError


def read(path: Path) -> dict[tuple[str, str, str], dict]:
    """{(network, method, variant): its entry} of a tuned.json.

    Raises:
        UserError: no such file, or not one of these.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        found = {(cell["network"], cell["method"], cell["variant"]): cell for cell in cells}
        for cell in cells:
            checked_options(cell["chosen"])
            in_words(cell["space"])
            if type(cell["trials"]) is not int:
                raise ValueError(f"trials {cell['trials']!r}")
    except FileNotFoundError:
        raise UserError(f"`tuned` {path} does not exist; `iemf tune` writes it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"`tuned` {path} is not what `iemf tune` wrote ({error}); make it anew") from None
    return found


def checked_options(chosen: dict) -> None:
    """Raise ValueError unless these are numbers for options that are searched."""
    for name, value in chosen.items():
        if name not in SEARCHED or type(value) not in (int, float):
            raise ValueError(f"{name} {value!r}")


def applied(runs: Sequence[RunConfig], path: Path | None) -> list[RunConfig]:
    """The runs, not resolved yet, with what was chosen for their cells; unchanged without a ``path``.

    Raises:
        UserError: the file has nothing for a cell, or an option is given that it chooses.
    """
    if path is None:
        return list(runs)
    cells = read(path.expanduser())
    found = []
    for run in runs:
        if (cell := cells.get(run.cell)) is None:
            raise UserError(f"`tuned` {path} has nothing for {' '.join(run.cell)}; search it too (`iemf tune`), or "
                            f"leave the cell out")  # fmt: skip
        for name in cell["chosen"]:
            if (value := getattr(run, name)) is not None:
                raise UserError(f"`{name}` {shown(value)} is what `tuned` {path} chooses for every cell; leave one out")
        found.append(replace(run, tuned=f"{cell['trials']} trials of {in_words(cell['space'])}", **cell["chosen"]))
    return found
