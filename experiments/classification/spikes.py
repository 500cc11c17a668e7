"""What spikes cost and bring: accuracy, firing rate and estimated energy over the number of time steps, beside the ANN.

    python -m experiments.spikes --runs runs/spikes/ann runs/spikes/T1 runs/spikes/T4 --out runs/spikes

Reads finished comparisons that differ in --time-steps alone; nothing is trained. Each spiking run's best weights pass
over the test split once; OUT/spikes keeps what is done, a file a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from experiments.classification import spikes_report
from experiments.classification.options import RunConfig
from experiments.classification.robustness import find_runs, identity, refuse_mixed
from experiments.classification.spiking import of_encoders
from experiments.sweep.allocator import keep_freed_memory
from experiments.sweep.options import check_least
from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import only_writer
from iemf.training import RunFolder, checkpoint


@dataclass(frozen=True)
class SpikesConfig:
    """Accuracy, firing rate and estimated energy over T, spiking networks beside the artificial one."""

    runs: tuple[Path, ...]
    """Folders of comparisons (--out of experiments.compare) that differ in --time-steps alone; they are only read."""
    out: Path = Path("runs/spikes")
    batch_size: int = 100
    progress: bool = True


def find(folders: Sequence[Path]) -> tuple[list[RunConfig], int]:
    """(resolved configs of the finished runs of all folders, number of unfinished runs).

    Only methods that have spiking runs at two or more T are kept: the others have nothing to be drawn over.

    Raises:
        UserError: no finished run, runs that differ in more than T, or one T alone.
    """
    found = [find_runs(folder) for folder in folders]
    configs = [config for some, _ in found for config in some]
    refuse_mixed(configs, over=("time_steps",))
    steps: dict[str, set[int]] = {}
    for config in configs:
        if config.network == "snn":
            steps.setdefault(config.method, set()).add(config.time_steps)
    kept = [config for config in configs if len(steps.get(config.method, ())) > 1]
    if not kept:
        told = "; ".join(f"{method}: {', '.join(map(str, sorted(of)))}" for method, of in steps.items()) or "none"
        raise UserError(f"`runs` hold no method with spiking runs at two or more T (T of {told}); "
                        f"train others with `time_steps`")  # fmt: skip
    return kept, sum(unfinished for _, unfinished in found)


def measured(config: RunConfig, out: Path, batch_size: int) -> dict:
    """The record of a run: an ANN's from its results, an SNN's from its file in ``out``, which is made if need be."""
    cell = {name: getattr(config, name) for name in ("network", "method", "variant", "seed", "time_steps")}
    if config.network == "ann":
        return cell | {"test_accuracy": RunFolder(config.out).results()["test_accuracy"]}
    name = f"T{config.time_steps}-{config.out.name}.json"
    file, of = out / "spikes" / name, identity(config)
    content = read_json(file) if file.exists() else {}
    if content.get("of") != of:
        weights = checkpoint.load(RunFolder(config.out).best_checkpoint)["network"]
        content = {"of": of} | of_encoders(config.out, config, weights, batch_size)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, content)
    return cell | {name: content[name] for name in ("test_accuracy", "firing_rate")} | content["energy_per_sample"]


def main(config: SpikesConfig) -> None:
    """Measure what has not been, write, and print the table."""
    check_least(config, {"batch_size": 1})
    out = config.out.expanduser()
    configs, unfinished = find([folder.expanduser() for folder in config.runs])
    with only_writer(out, "is measuring"):
        keep_freed_memory()
        bar = tqdm(configs, desc="spikes", unit="run", disable=not config.progress, dynamic_ncols=True)
        rows = [measured(each, out, config.batch_size) for each in bar]
        print(spikes_report.write(rows, configs, unfinished, out))
    print(f"\nWritten to {config.out}: table.md, spikes.json, spikes.csv, spikes.png")
