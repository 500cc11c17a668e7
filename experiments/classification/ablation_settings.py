"""What an ablation of ξ varies: the options of each setting, and what a run's setting is called."""

import statistics
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

from experiments.classification.options import RunConfig, defaults_of
from experiments.sweep import published
from iemf.analysis.style import SHORT_VARIANT_LABELS
from iemf.coefficient import GATES
from iemf.training import RunFolder

Group = Literal["gamma", "gate", "window", "shuffled", "fixed", "recipe", "scale"]
GROUPS: tuple[Group, ...] = get_args(Group)
GAMMAS = (0.1, 0.5, 1.0, 2.0, 3.0, 5.0)  # of Fig. 2 c1
DIGITS = 3  # of a fixed ξ


class Setting(NamedTuple):
    """A row of the table."""

    group: str  # a Group, or "variant": vanilla and joint learning
    label: str


def options_of(groups: Sequence[Group], gammas: Sequence[float], epochs: int, scale: str) -> list[dict[str, Any]]:
    """What each setting changes in an IEMF run, the fixed ξ aside; γ = 1, which changes nothing, is always there.

    Args:
        groups: which settings.
        gammas: γ of the group "gamma".
        epochs: of a run; the windows are its halves.
        scale: what ξ multiplies by default.
    """
    chosen = {1.0, *(gammas if "gamma" in groups else ()), *([max(gammas)] if "scale" in groups else ())}
    found: list[dict[str, Any]] = [{"gamma": gamma} for gamma in sorted(chosen)]
    if "gate" in groups:
        found += [{"gate": gate} for gate in GATES if gate != "tanh"]
    if "window" in groups:
        found += [{"modulate_to": epochs // 2 - 1}, {"modulate_from": epochs // 2}]
    if "shuffled" in groups:
        found.append({"xi": "shuffled"})
    if "scale" in groups:
        other = "gradient" if scale == "step" else "step"
        found += [{"scale": other, "gamma": gamma} for gamma in sorted({1.0, max(gammas)})]
    return found


def setting_of(run: RunConfig) -> Setting:
    """Of a resolved run, from its options."""
    if run.recipe == "released":
        return Setting("recipe", released_label(run.variant))
    if run.variant != "iemf":
        return Setting("variant", run.variant)
    if run.xi is not None:
        return Setting("shuffled", "shuffled ξ") if run.xi == "shuffled" else Setting("fixed", "fixed ξ: own mean")
    if run.modulate_to is not None or run.modulate_from:
        last = run.epochs - 1 if run.modulate_to is None else run.modulate_to
        return Setting("window", f"ξ in epochs {run.modulate_from}–{last}")
    if run.gate != "tanh":
        return Setting("gate", f"κ = {run.gate}")
    if run.scale != defaults_of(run)["scale"]:
        return Setting("scale", f"ξ on the {run.scale}, γ = {run.gamma:g}")
    return Setting("gamma", f"γ = {run.gamma:g}")


def released_label(variant: str) -> str:
    """Of a run of the released recipe."""
    return f"released recipe: {SHORT_VARIANT_LABELS[variant]}"


def cell_of(run: RunConfig) -> tuple[str, str, str, str]:
    """(network, method, group, label): runs of one cell differ in their seed alone."""
    return run.network, run.method, *setting_of(run)


def reference(cell: tuple[str, str, str, str], variant: str) -> tuple[str, str, str, str]:
    """The cell of vanilla or joint learning that another is compared with: that of its network, method and recipe."""
    own = ("recipe", released_label(variant)) if cell[2] == "recipe" else ("variant", variant)
    return *cell[:2], *own


def published_of(cell: tuple[str, str, str, str]) -> float | None:
    """Percent that the paper has for a cell, on Kinetics-Sounds."""
    network, method, group, label = cell
    if group == "variant":
        return published.accuracies(published.FIGURE_2_DATASET).get((network, method, label))
    sweep = {f"γ = {gamma:g}": value for gamma, value in published.gamma_sweep(network, method).items()}
    return sweep.get(label) if group == "gamma" else None


def own_mean(runs: Sequence[RunConfig]) -> float:
    """ξ of training batches, the mean over runs and epochs, rounded."""
    of_epochs = [record["xi"] for run in runs for record in RunFolder(run.out).metrics() if record["xi"] is not None]
    return round(statistics.fmean(of_epochs), DIGITS)


def rank(setting: Setting) -> int:
    """Its group's place in a table."""
    return ("variant", *GROUPS).index(setting.group)
