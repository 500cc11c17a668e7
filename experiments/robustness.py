"""How finished runs bear noise they were not trained on: test accuracy over the signal-to-noise ratio of a modality.

    python -m experiments.robustness --runs runs/compare --out runs/robustness

Each modality of the test split is put at fixed ratios while the other keeps its noise; nothing is trained.
OUT/evaluations keeps what is done, a file a run; table.md and robustness.json, .csv and .png are written from it.
"""

import csv
import functools
import hashlib
import io
import json
import multiprocessing
import statistics
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from accelerate.state import AcceleratorState
from tqdm import tqdm

from experiments import build, cli, report
from experiments.allocator import keep_freed_memory
from experiments.grid import POLL_SECONDS, available_cores, default_jobs
from experiments.options import LOUDEST, RunConfig, resolve
from iemf.analysis.plots import METHOD_LABELS
from iemf.analysis.robustness_plot import accuracy_over_snr, curves_of
from iemf.analysis.style import MODALITY_LABELS
from iemf.data.base import AudioVisualData, evaluation_loader
from iemf.data.preparation import manifest
from iemf.errors import UserError
from iemf.files import read_json, write_atomically, write_json
from iemf.processes import begin_worker
from iemf.training import RunFolder, checkpoint
from iemf.training.evaluate import evaluate
from iemf.training.record import FREE_FIELDS

ACCURACIES = {"test_accuracy": "fused", "test_accuracy_audio": "audio", "test_accuracy_visual": "visual"}
VARIANTS = {"vanilla": "vanilla", "joint": "joint (ξ = 1)", "iemf": "IEMF"}
DIFFERENCES = {"joint − vanilla": ("joint", "vanilla"), "IEMF − joint": ("iemf", "joint")}
READ_BY_SOME = ("time_steps", "gamma", "gate", "scale", "modulate_from")  # by spiking or by IEMF runs; None in others
OWN = ("network", "method", "iemf", "joint", "seed", "lif_backend", *FREE_FIELDS)  # what may differ within a table
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
    """Runs at a time; by default one on a GPU, one a core (four at most) without."""
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
    """(resolved configs of the finished runs in the order of the table, number of unfinished runs).

    Raises:
        UserError: no finished run, or runs that one table cannot hold.
    """
    found = [RunFolder(file.parent) for file in sorted((folder / "runs").glob("*/config.json"))]
    if not found:
        raise UserError(f"{folder / 'runs'} holds no runs; --runs is the --out of python -m experiments.compare")
    finished = [run for run in found if run.results() is not None]
    if not finished:
        raise UserError(f"none of the {len(found)} run(s) in {folder / 'runs'} is finished; "
                        f"the python -m experiments.compare that began them goes on with them")  # fmt: skip
    stored = {run.path: RunConfig.from_stored(run.read_config()) for run in finished}
    configs = [resolve(replace(config, out=path, workers=None)) for path, config in stored.items()]
    refuse_mixed(configs)
    refuse_other_data(configs)
    rank = [*METHOD_LABELS, *VARIANTS].index
    configs.sort(key=lambda c: (rank(c.method), c.network, rank(c.variant), c.seed))
    return configs, len(found) - len(finished)


def refuse_mixed(configs: Sequence[RunConfig]) -> None:
    """Raise UserError for runs whose mean would mean nothing: of other data or options, or one run twice."""
    first: dict[object, tuple[object, Path]] = {}
    for config in configs:
        cell = (config.network, config.method, config.variant, config.seed)
        if (other := first.setdefault(cell, (None, config.out))[1]) != config.out:
            raise UserError(f"{other} and {config.out} are the same run; remove one")
        for name, value in vars(config).items():
            if name in OWN or (value is None and name in READ_BY_SOME):
                continue
            expected, other = first.setdefault(name, (value, config.out))
            if value != expected:
                raise UserError(f"{other} has {name}={expected!r}, {config.out} {value!r}; one table takes runs that "
                                f"share it")  # fmt: skip


def refuse_other_data(configs: Sequence[RunConfig]) -> None:
    """Raise UserError if the data were prepared anew since: test clips of now may be training clips of then."""
    for config in configs:
        if config.data_root is not None and config.data_digest != (now := manifest.digest(config.data_root)):
            raise UserError(f"{config.data_root} was prepared anew since {config.out} ({config.data_digest} then, "
                            f"{now} now); train the runs again into another --out")  # fmt: skip


def identity(config: RunConfig) -> str:
    """SHA-256 of a run's weights and options; UserError where the weights are missing."""
    weights = RunFolder(config.out).best_checkpoint
    if not weights.is_file():
        raise UserError(f"{weights} is missing; remove the run's folder and train the run again")
    options = {name: value for name, value in vars(config).items() if name not in FREE_FIELDS}
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


def data_options(config: RunConfig, modality: str, snr: float) -> RunConfig:
    """The options of a condition's test data, all others at their default, so that runs share what is loaded.

    The seed is not among them: no data set's test split or test noise depends on it.
    """
    own = {name: getattr(RunConfig(), name) for name in (*OWN, *READ_BY_SOME)}
    return replace(config, **own, **{f"test_snr_{modality}": (snr, snr)})


@functools.cache  # of AV-Digits 16 MB a condition; loading one takes as long as several evaluations
def test_data(options: RunConfig) -> AudioVisualData:
    """The data set without the splits that are of no use here."""
    return replace(build.build_data(options), train=None, val=None, set_epoch=None)


def evaluate_run(config: RunConfig, conditions: Sequence[Condition], batch_size: int) -> list[dict]:
    """Accuracies in percent of a run's best weights, one record a condition, in the run's own precision."""
    keep_freed_memory()
    accelerator = build.build_accelerator(config)
    try:
        network = build.build_network(config, test_data(data_options(config, *conditions[0])))
        network.load_state_dict(checkpoint.load(RunFolder(config.out).best_checkpoint)["network"])
        prepared, records = accelerator.prepare(network), []
        for modality, snr in conditions:
            data = test_data(data_options(config, modality, snr))
            loader = accelerator.prepare(evaluation_loader(data.test, batch_size, config.workers))
            accuracies, _ = evaluate(prepared, data.front_end.to(accelerator.device), loader, accelerator)
            numbers = {name: getattr(accuracies, of) for name, of in ACCURACIES.items()}
            records.append({"modality": modality, "snr": snr} | numbers)
        return records
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)  # the next run may want another precision


def complete(task: Task, batch_size: int) -> None:
    """Evaluate a run where it has not been, and write its file."""
    known = evaluations(task.file, task.identity).values()
    records = [*known, *evaluate_run(task.config, task.conditions, batch_size)]
    write_json(task.file, {"run": task.config.out.name, "of": task.identity, "evaluations": records})


def complete_all(tasks: Sequence[Task], batch_size: int, jobs: int, progress: bool) -> None:
    """:func:`complete` every task, ``jobs`` at a time; the cores are shared out among their threads.

    Raises:
        UserError: a run cannot be evaluated, or a process was killed; what was finished is kept.
    """
    context, threads = multiprocessing.get_context("spawn"), max(1, available_cores() // jobs)
    with (
        ProcessPoolExecutor(jobs, context, initializer=begin_worker, initargs=(threads,)) as pool,
        tqdm(total=sum(map(Task.cost, tasks)), desc="robustness", disable=not progress, dynamic_ncols=True,
             bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}") as bar,
    ):  # fmt: skip
        # The longest first, so that no core waits for a late one at the end.
        of = {pool.submit(complete, task, batch_size): task for task in sorted(tasks, key=Task.cost, reverse=True)}
        pending = set(of)
        try:
            while pending:
                done, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    bar.update(of[future].cost())
                bar.set_postfix_str(f"{len(of) - len(pending)}/{len(of)} runs")
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, BrokenExecutor):
                raise UserError("a process was killed (out of memory?); run the same command again to go on, "
                                "with --jobs 1 if it happens again") from None  # fmt: skip
            raise


def summarise(rows: Sequence[dict]) -> list[dict]:
    """A record a method, network and noisy modality: {variant or difference: {seed: percent, averaged over ratios}}."""
    curves, summary = curves_of(rows), []
    for panel in dict.fromkeys(key[:3] for key in curves):
        mean = {v: {s: statistics.fmean(c) for s, c in curves.get((*panel, v), {}).items()} for v in VARIANTS}
        for name, (more, less) in DIFFERENCES.items():
            mean[name] = {s: mean[more][s] - mean[less][s] for s in mean[more] if s in mean[less]}
        summary.append(dict(zip(("method", "network", "modality"), panel, strict=True)) | mean)
    return summary


def markdown(summary: Sequence[dict], configs: Sequence[RunConfig], ratios: Sequence[float], unfinished: int) -> str:
    """One row a method, network and noisy modality; columns for the variants and their differences."""
    columns = [name for name in (*VARIANTS, *DIFFERENCES) if any(row[name] for row in summary)]
    rows = [
        [METHOD_LABELS[row["method"]], row["network"].upper(), MODALITY_LABELS[row["modality"]]]
        + [report.plus_minus(list(row[name].values()), signed=name in DIFFERENCES) for name in columns]
        for row in summary
    ]
    table = report.table_lines(["method", "network", "noise in", *(VARIANTS.get(c, c) for c in columns)], rows)
    counts = [len(row[name]) for row in summary for name in VARIANTS if row[name]]
    seeds = report.seeds_in_words(sorted({config.seed for config in configs}), counts)
    note = f"Test accuracy in %, averaged over test SNRs of {' '.join(f'{ratio:g}' for ratio in ratios)} dB in the "
    note += f"modality named while the other keeps the run's test noise; {seeds}. {configs[0].dataset}, ResNet-18 of "
    note += f"width {configs[0].width}, {configs[0].epochs} epochs."
    for name in DIFFERENCES:
        note += report.paired(name, [list(row[name].values()) for row in summary])
    note += f" {unfinished} run(s) are not finished and not counted." if unfinished else ""
    return f"{table}\n\n{note}"


def by_ratio(rows: Sequence[dict]) -> str:
    """One row a network, noisy modality and ratio: the differences between variants, averaged over methods."""
    accuracy = {
        tuple(row[name] for name in ("network", "modality", "snr", "variant", "seed", "method")): row["test_accuracy"]
        for row in rows
    }
    panels = dict.fromkeys(key[:3] for key in sorted(accuracy, key=lambda key: (key[0], key[1], key[2])))
    lines = []
    for panel in panels:
        line = [panel[0].upper(), MODALITY_LABELS[panel[1]], f"{panel[2]:g} dB"]
        for more, less in DIFFERENCES.values():
            by_seed: dict[int, list[float]] = {}
            for (*where, variant, seed, method), value in accuracy.items():
                base = accuracy.get((*panel, less, seed, method))
                if tuple(where) == panel and variant == more and base is not None:
                    by_seed.setdefault(seed, []).append(value - base)
            line.append(report.plus_minus([statistics.fmean(values) for values in by_seed.values()], signed=True))
        lines.append(line)
    table = report.table_lines(["network", "noise in", "test SNR", *DIFFERENCES], lines)
    return f"At each ratio, mean over methods:\n\n{table}"


def as_csv(rows: Sequence[dict]) -> str:
    """One line a run, noisy modality and ratio."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {name: f"{row[name]:.2f}" for name in ACCURACIES} for row in rows)
    return file.getvalue()


def check(config: RobustnessConfig) -> None:
    """Raise UserError for an option out of range."""
    snr = config.snr
    if not snr or len(set(snr)) < len(snr) or not all(abs(ratio) <= LOUDEST for ratio in snr):
        listed = " ".join(f"{ratio:g}" for ratio in snr)
        raise UserError(f"--snr {listed}: name finite numbers of dB within ± {LOUDEST}, each once")
    for name in ("batch_size", "jobs"):
        if (value := getattr(config, name)) is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value} must be 1 or more")
    if config.out.expanduser().resolve() == config.runs.expanduser().resolve():
        raise UserError(f"--out {config.out} is --runs, and its table.md would be lost; name another folder")


def write(rows: Sequence[dict], configs: Sequence[RunConfig], unfinished: int, out: Path) -> str:
    """Write the four files into ``out`` and return the table as Markdown."""
    summary, example = summarise(rows), configs[0]
    table = markdown(summary, configs, sorted({row["snr"] for row in rows}), unfinished)
    write_atomically(out / "table.md", f"{table}\n\n{by_ratio(rows)}\n")
    write_json(out / "robustness.json", {"settings": report.settings(configs), "summary": summary, "evaluations": rows})
    write_atomically(out / "robustness.csv", as_csv(rows))
    noise = {modality: getattr(example, f"snr_{modality}") for modality in MODALITY_LABELS}
    classes = RunFolder(example.out).results()["classes"]
    title = f"{example.dataset}, {example.epochs} epochs, n = {len({c.seed for c in configs})} seed(s), ± 1 deviation\n"
    title += "one modality at the SNR below, the other with the runs' own test noise"
    accuracy_over_snr(rows, noise, 100 / len(classes), out / "robustness.png", title)
    return table


def main(config: RobustnessConfig) -> None:
    """Evaluate what has not been, write, and print the table."""
    check(config)
    configs, unfinished = find_runs(config.runs.expanduser())
    out, jobs = config.out.expanduser(), config.jobs or default_jobs()
    conditions = [(modality, ratio) for modality in MODALITY_LABELS for ratio in sorted(config.snr)]
    readers = 0 if configs[0].dataset == "av-digits" else max(0, available_cores() // jobs - 1)
    tasks = [plan(replace(c, workers=readers), conditions, out) for c in configs]
    try:
        (out / "evaluations").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written ({error.strerror}); name another folder") from None
    missing = [task for task in tasks if task.conditions]
    print(f"{len(tasks)} runs: {len(tasks) - len(missing)} evaluated, {len(missing)} to go, {jobs} at a time")
    complete_all(missing, config.batch_size, jobs, config.progress)
    rows = []
    for task in tasks:
        cell = {name: getattr(task.config, name) for name in ("network", "method", "variant", "seed")}
        known = evaluations(task.file, task.identity)
        rows += [cell | known[condition] for condition in conditions]
    print(write(rows, configs, unfinished, out))
    print(f"\nWritten to {config.out}: table.md, robustness.json, robustness.csv, robustness.png")


if __name__ == "__main__":
    cli.run(RobustnessConfig, main, "robustness")
