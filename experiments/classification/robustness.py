"""How finished runs bear noise they were not trained on: test accuracy over the signal-to-noise ratio of a modality.

    python -m experiments.robustness --runs runs/compare --out runs/robustness

Each modality of the test split is put at fixed ratios while the other keeps its noise; nothing is trained.
OUT/evaluations keeps what is done, a file a run; table.md, robustness.json, .csv and .png and multisensory_gain.png are
written from it.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from experiments.classification import build, robustness_report
from experiments.classification.options import EMBEDDED, LOUDEST, RunConfig, modalities_of, resolve
from experiments.classification.robustness_report import ACCURACIES
from experiments.classification.search_space import SEARCHED
from experiments.classification.size import all_small
from experiments.sweep.accelerator import accelerated
from experiments.sweep.allocator import keep_freed_memory
from experiments.sweep.balance import OF_METHODS
from experiments.sweep.memory import enough_for
from experiments.sweep.options import OF_IEMF, VARIANTS, check_least
from experiments.sweep.threads import Share, share
from iemf.balance import METHODS
from iemf.classification.evaluate import evaluate
from iemf.data.base import AudioVisualData, evaluation_loader
from iemf.data.noise import Noise
from iemf.data.sets.digest import digest_of
from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import only_writer
from iemf.pool import available_cores, in_processes
from iemf.training import RunFolder, checkpoint
from iemf.training.record import FREE_FIELDS

READ_BY_SOME = ("time_steps", "norm_gain", *OF_IEMF, *OF_METHODS)  # spiking runs, IEMF, methods; None in others
OWN = ("network", "method", "iemf", "joint", "seed", "lif_backend", *FREE_FIELDS)  # may differ in a table
# What says nothing of weights: options of runs of one modality, which are none of these, and where a rate comes from.
BESIDE = ("modality", "start_digest", "tuned")
Job = TypeVar("Job")
Condition = tuple[str, float]  # a modality of the test split and its ratio in dB


@dataclass(frozen=True)
class RobustnessConfig:
    """Test accuracy of the finished runs of a comparison over the signal-to-noise ratio of each modality."""

    runs: Path
    """The --out of experiments.compare; it is only read."""
    out: Path = Path("runs/robustness")
    snr: tuple[float, ...] = (-20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0)
    """Signal-to-noise ratios of the test split in dB."""
    batch_size: int = 100
    jobs: int | None = None
    """Runs at a time; by default one on a GPU; without, one a core, of large networks four at most."""
    progress: bool = True


class Task(NamedTuple):
    """A run, the file of its evaluations, what they hold for, and the conditions that are missing there."""

    config: RunConfig
    file: Path
    identity: str
    conditions: list[Condition]

    def cost(self) -> int:
        """Relative length: conditions times time steps."""
        return len(self.conditions) * (self.config.time_steps or 1)


def find_runs(folder: Path) -> tuple[list[RunConfig], int]:
    """(resolved configs of the finished runs in the order of the table, number of unfinished runs), of those with both
    modalities.

    Raises:
        UserError: no finished run, or runs that one table cannot hold.
    """
    every = [RunFolder(file.parent) for file in sorted((folder / "runs").glob("*/config.json"))]
    found = [run for run in every if "modality" not in run.read_config()]
    if not found:
        raise UserError(f"{folder / 'runs'} holds no runs; `runs` is the `out` of python -m experiments.compare")
    finished = [run for run in found if run.results() is not None]
    if not finished:
        raise UserError(f"none of the {len(found)} run(s) in {folder / 'runs'} is finished; "
                        f"the python -m experiments.compare that began them goes on with them")  # fmt: skip
    stored = {run.path: RunConfig.from_stored(run.read_config()) for run in finished}
    configs = [resolve(replace(config, out=path, workers=None)) for path, config in stored.items()]
    refuse_mixed(configs)
    refuse_other_data(configs)
    rank = [*METHODS, *VARIANTS].index
    configs.sort(key=lambda c: (rank(c.method), c.network, rank(c.variant), c.seed))
    return configs, len(found) - len(finished)


def refuse_mixed(configs: Sequence[RunConfig], over: Sequence[str] = ()) -> None:
    """Raise UserError for runs that one table cannot hold: of other data or options, or one run twice.

    Args:
        configs: of finished runs.
        over: options that may differ beside those of a cell.
    """
    first: dict[str, tuple[object, Path]] = {}
    for config in configs:
        for name, value in vars(config).items():
            chosen = config.tuned is not None and name in SEARCHED  # for each cell
            if name in (*OWN, *over) or chosen or unread(config, name):
                continue
            expected, other = first.setdefault(name, (value, config.out))
            if value != expected:
                raise UserError(f"{other} has {name}={expected!r}, {config.out} {value!r}; one table takes runs that "
                                f"share it")  # fmt: skip
    cells: dict[tuple, Path] = {}
    for config in configs:
        cell = (*config.cell, config.seed, *(getattr(config, name) for name in over))
        if (other := cells.setdefault(cell, config.out)) != config.out:
            raise UserError(f"{other} and {config.out} are the same run; remove one")


def unread(config: RunConfig, name: str) -> bool:
    """Whether an option is None because runs of another variant, network or method alone read it. Of what IEMF reads,
    None is a value of its own runs."""
    mine = name in OF_IEMF and config.variant == "iemf"
    return name in READ_BY_SOME and getattr(config, name) is None and not mine


def refuse_other_data(configs: Sequence[RunConfig]) -> None:
    """Raise UserError if the data were prepared anew since: test clips of now may be training clips of then."""
    for config in configs:
        if config.data_root is not None and config.data_digest != (now := digest_of(config.data_root)):
            raise UserError(f"{config.data_root} has changed since {config.out} ({config.data_digest} then, "
                            f"{now} now); train the runs again into another `out`")  # fmt: skip


def identity(config: RunConfig) -> str:
    """SHA-256 of a run's weights and options; UserError where the weights are missing."""
    weights = RunFolder(config.out).best_checkpoint
    if not weights.is_file():
        raise UserError(f"{weights} is missing; remove the run's folder and train the run again")
    options = {name: value for name, value in vars(config).items() if name not in (*FREE_FIELDS, *BESIDE)}
    return hashlib.sha256(weights.read_bytes() + json.dumps(options, default=str).encode()).hexdigest()


def evaluations(file: Path, of: str) -> dict[Condition, dict]:
    """{condition: accuracies in percent} of one run, as far as the file has them and they hold for ``of``."""
    content = read_json(file) if file.exists() else {}
    records = content["evaluations"] if content.get("of") == of else []
    return {(record["modality"], record["snr"]): record for record in records}


def plan(config: RunConfig, conditions: Sequence[Condition], out: Path) -> Task:
    """What is left to do for a run."""
    file, of = out / "evaluations" / f"{config.out.name}.json", identity(config)
    known = evaluations(file, of)
    return Task(config, file, of, [condition for condition in conditions if condition not in known])


def shared_options(config: RunConfig) -> RunConfig:
    """The options of a run's data, all others at their default, so that runs share what is loaded.

    The seed is not among them: no data set's splits or test noise depend on it.
    """
    # Where the data lie is no option of the run, but they are read from there.
    own = {
        field.name: field.default
        for field in fields(RunConfig)
        if field.name in (*OWN, *READ_BY_SOME) and field.name != "data_root"
    }
    return replace(config, **own)


def data_options(config: RunConfig, modality: str, snr: float) -> RunConfig:
    """Those of a condition's test data."""
    return replace(shared_options(config), **{f"test_snr_{modality}": (snr, snr)})


@functools.cache  # of AV-Digits 16 MB a condition; loading one takes as long as several evaluations
def test_data(options: RunConfig) -> AudioVisualData:
    """The data set without the splits that are of no use here."""
    return replace(build.build_data(options), train=None, val=None, set_epoch=None)


def evaluate_run(config: RunConfig, conditions: Sequence[Condition], batch_size: int) -> list[dict]:
    """Accuracies in percent of a run's best weights, one record a condition, in the run's own precision."""
    keep_freed_memory()
    with accelerated(config.precision) as accelerator:
        network = build.build_network(config, test_data(data_options(config, *conditions[0])))
        network.load_state_dict(checkpoint.load(RunFolder(config.out).best_checkpoint)["network"])
        prepared, records = accelerator.prepare(network), []
        for modality, snr in conditions:
            data = test_data(data_options(config, modality, snr))
            loader = accelerator.prepare(evaluation_loader(data.test, batch_size, config.workers))
            accuracies = evaluate(prepared, data.front_end.to(accelerator.device), loader, accelerator).accuracies
            numbers = {name: accuracies[of] for name, of in ACCURACIES.items()}
            records.append({"modality": modality, "snr": snr} | numbers)
        return records


def complete(batch_size: int, task: Task) -> None:
    """Evaluate a run where it has not been, and write its file."""
    known = evaluations(task.file, task.identity).values()
    with enough_for(replace(task.config, batch_size=batch_size)):
        records = [*known, *evaluate_run(task.config, task.conditions, batch_size)]
    write_json(task.file, {"run": task.config.out.name, "of": task.identity, "evaluations": records})


def complete_all(work: Callable[[Job], None], tasks: Sequence[Job], cores: Share, progress: bool, name: str) -> None:
    """``work`` on every task, in processes.

    Args:
        work: one that a fresh process can import.
        tasks: each with a relative length, ``cost()``.
        cores: processes at a time, and threads of each.
        progress: show the bar, by ``name``.

    Raises:
        UserError: a run cannot be evaluated, or a process was killed; what was finished is kept.
    """
    # The longest first, so that no core waits for a late one at the end.
    tasks = sorted(tasks, key=lambda task: task.cost(), reverse=True)
    with (
        tqdm(total=sum(task.cost() for task in tasks), desc=name, disable=not progress, dynamic_ncols=True,
             bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}") as bar,
        closing(in_processes(work, tasks, cores.jobs, threads=cores.threads)) as results,
    ):  # fmt: skip
        for number, done in enumerate(results, start=1):
            if done.error is not None:
                raise done.error
            bar.update(done.job.cost())
            bar.set_postfix_str(f"{number}/{len(tasks)} runs")


def check(config: RobustnessConfig) -> None:
    """Raise UserError for an option out of range."""
    snr = config.snr
    if not snr or len(set(snr)) < len(snr) or not all(abs(ratio) <= LOUDEST for ratio in snr):
        listed = " ".join(f"{ratio:g}" for ratio in snr)
        raise UserError(f"`snr` {listed}: name finite numbers of dB within ± {LOUDEST}, each once")
    check_least(config, {"batch_size": 1, "jobs": 1})
    if config.out.expanduser().resolve() == config.runs.expanduser().resolve():
        raise UserError(f"`out` {config.out} is `runs`, and its table.md would be lost; name another folder")


def main(config: RobustnessConfig) -> None:
    """Evaluate what has not been, write, and print the table."""
    check(config)
    configs, unfinished = find_runs(config.runs.expanduser())
    if len(there := modalities_of(configs[0].dataset)) > 2:
        raise UserError(f"`runs` {config.runs} are of {configs[0].dataset}, which has {', '.join(there)}; noise at "
                        f"fixed ratios and what the fusion adds are of two modalities")  # fmt: skip
    with only_writer(config.out.expanduser(), "is evaluating"):
        _main(config, configs, unfinished)


def _main(config: RobustnessConfig, configs: Sequence[RunConfig], unfinished: int) -> None:
    out, cores = config.out.expanduser(), share(len(configs), config.jobs, lambda: all_small(configs))
    conditions = [(modality, ratio) for modality in Noise._fields for ratio in sorted(config.snr)]
    readers = 0 if configs[0].dataset in EMBEDDED else max(0, available_cores() // cores.jobs - 1)
    tasks = [plan(replace(c, workers=readers), conditions, out) for c in configs]
    try:
        (out / "evaluations").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"`out` {out} cannot be written ({error.strerror}); name another folder") from None
    missing = [task for task in tasks if task.conditions]
    print(f"{len(tasks)} runs: {len(tasks) - len(missing)} evaluated, {len(missing)} to go, {cores.jobs} at a time")
    work = functools.partial(complete, config.batch_size)
    complete_all(work, missing, cores, config.progress, "robustness")
    rows = []
    for task in tasks:
        cell = {name: getattr(task.config, name) for name in ("network", "method", "variant", "seed")}
        known = evaluations(task.file, task.identity)
        rows += [cell | known[condition] for condition in conditions]
    print(robustness_report.write(rows, configs, unfinished, out))
    print(f"\nWritten to {config.out}: table.md, robustness.json, .csv, .png, multisensory_gain.png")
