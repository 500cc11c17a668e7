"""How flat the minima are that a comparison's runs have found: Fig. 2 f, Eq. 14 and 15, and the Hessian.

    python -m experiments.landscape --runs runs/av-digits --out runs/landscape

Around the best weights of each finished run: the fused loss along a random direction, in a plane (one seed), its
largest rise within balls, and the largest eigenvalues of its Hessian. Nothing is trained. OUT/measurements keeps what
is done, a file a run; the table, landscape.json, landscape.csv and the pictures are written from it.
"""

import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from accelerate.utils import send_to_device

from experiments.classification import landscape_report, surroundings
from experiments.classification.options import MethodName, RunConfig
from experiments.classification.robustness import complete_all, find_runs, identity, shared_options
from experiments.classification.size import all_small
from experiments.sweep.accelerator import accelerated
from experiments.sweep.allocator import keep_freed_memory
from experiments.sweep.memory import enough_for
from experiments.sweep.options import Network, check_least
from experiments.sweep.plan import duration
from experiments.sweep.threads import share
from iemf.analysis.objective import Objective
from iemf.errors import UserError
from iemf.files import read_json, write_json
from iemf.lock import only_writer

Split = Literal["train", "val"]
MOST_POINTS = 201


@dataclass(frozen=True)
class LandscapeConfig:
    """Landscape, sharpness and Hessian eigenvalues of the finished runs of a comparison."""

    runs: Path
    """The --out of experiments.compare; it is only read."""
    out: Path = Path("runs/landscape")
    methods: tuple[MethodName, ...] | None = None
    """Of the runs', those to look at; all by default."""
    networks: tuple[Network, ...] | None = None
    """Likewise."""
    split: Split = "train"
    """Whose fused loss is looked at; of train under one draw of its noise and crops."""
    samples: int = 200
    """Of that split, evenly spaced, the same for every run."""
    span: float = 1.0
    """How far the line and the plane reach; at 1 every filter has moved by its own norm."""
    points: int = 21
    """Of the line; odd."""
    plane_points: int = 15
    """Of each side of the plane; odd, or 0 for no planes."""
    plane_seed: int | None = None
    """The runs that a plane is made of; the smallest seed by default."""
    fusion_radii: tuple[float, ...] = (0.1, 0.2, 0.5, 1.0, 2.0)
    """ρ of Eq. 14 in the fusion layer's weights."""
    radii: tuple[float, ...] = (0.05, 0.1, 0.2)
    """ρ in all weights."""
    ascent_steps: int = 10
    """Of the search in each of these balls."""
    eigenvalues: int = 3
    """How many of the largest."""
    iterations: int = 12
    """Of Lanczos' method, at most."""
    distance: float = 0.1
    """h of differences of gradients, where operators have no second derivative: all weights of an SNN."""
    batch_size: int = 50
    jobs: int | None = None
    """Runs at a time; by default one on a GPU, one a core (four at most) without."""
    dry_run: bool = False
    """Only say what would be measured, and how long it would take on this machine."""
    progress: bool = True


class Task(NamedTuple):
    """A run, the file of its measurements, what they hold for, and the settings of each part that is missing there."""

    config: RunConfig
    file: Path
    identity: str
    missing: dict[str, dict]

    def cost(self) -> float:
        """Relative length: passes times time steps."""
        return self.passes() * (self.config.time_steps or 1)

    def passes(self) -> float:
        """See :func:`surroundings.passes`."""
        return sum(surroundings.passes(part, own, self.config.network) for part, own in self.missing.items())


def settings_of(config: LandscapeConfig, plane: bool) -> dict[str, dict]:
    """What each part of a run's record depends on, as JSON has it."""
    data = {"split": config.split, "samples": config.samples}
    radii = {"fusion": sorted(config.fusion_radii), "all": sorted(config.radii)}
    search = {"count": config.eigenvalues, "iterations": config.iterations, "distance": config.distance}
    parts = {
        "line": data | {"span": config.span, "points": config.points},
        "sharpness": data | radii | {"ascent_steps": config.ascent_steps},
        "eigenvalues": data | search,
    }
    return parts | ({"plane": data | {"span": config.span, "points": config.plane_points}} if plane else {})


def measurements(file: Path, of: str) -> dict[str, dict]:
    """{part: {"settings", "found"}} of one run, as far as the file has them and they hold for ``of``."""
    content = read_json(file) if file.exists() else {}
    return content["parts"] if content.get("of") == of else {}


def plan(config: RunConfig, wanted: dict[str, dict], out: Path) -> Task:
    """What is left to measure of a run."""
    file, of = out / "measurements" / f"{config.out.name}.json", identity(config)
    known = measurements(file, of)
    missing = {part: own for part, own in wanted.items() if known.get(part, {}).get("settings") != own}
    return Task(config, file, of, missing)


def objectives_of(config: RunConfig, options: LandscapeConfig, device: torch.device) -> dict[str, Objective]:
    """The loss around a run's best weights, on the samples that every run is looked at on."""
    shared = replace(shared_options(config), workers=config.workers)
    data, batches = surroundings.samples(shared, options.split, options.samples, options.batch_size)
    network = surroundings.trained_network(config, data, device)
    return surroundings.objectives(network, send_to_device(batches, device))


def complete(options: LandscapeConfig, task: Task) -> None:
    """Measure a run where it has not been; its file is written after every part. In float32, whatever it was trained
    in: differences of losses are small."""
    keep_freed_memory()
    with enough_for(replace(task.config, batch_size=options.batch_size)), accelerated() as accelerator:
        of = objectives_of(task.config, options, accelerator.device)
        for part, own in task.missing.items():
            found = surroundings.measure(part, own, task.config.network, of)
            parts = measurements(task.file, task.identity) | {part: {"settings": own, "found": found}}
            write_json(task.file, {"run": task.config.out.name, "of": task.identity, "parts": parts})


def estimate(tasks: Sequence[Task], options: LandscapeConfig) -> str:
    """A line for each kind of network, from one forward and backward pass that is timed here."""
    lines, total = [], 0.0
    for network in dict.fromkeys(task.config.network for task in tasks):
        alike = [task for task in tasks if task.config.network == network]
        with accelerated() as accelerator:
            objective = objectives_of(alike[0].config, options, accelerator.device)["all"]
            objective.gradient()  # the first one compiles
            began = time.perf_counter()
            objective.gradient()
            seconds = time.perf_counter() - began
        hours = seconds * sum(task.passes() for task in alike) / 3600
        total += hours
        lines.append(f"{network.upper()}: {len(alike)} runs to go, about {duration(hours)} one after another "
                     f"({seconds:.2f} s a pass over {options.samples} samples)")  # fmt: skip
    return "\n".join([*lines, f"together about {duration(total)}"])


def check(config: LandscapeConfig) -> None:
    """Raise UserError for an option out of range."""
    for name in ("methods", "networks"):
        if (chosen := getattr(config, name)) is not None and not chosen:
            raise UserError(f"`{name}` is empty; name one or leave it out")
    for name in ("fusion_radii", "radii"):
        radii = getattr(config, name)
        if not radii or len(set(radii)) < len(radii) or not all(0 < radius < math.inf for radius in radii):
            raise UserError(f"`{name}` {' '.join(f'{r:g}' for r in radii)}: name positive finite numbers, each once")
    for name, least in (("points", 3), ("plane_points", 0)):
        points = getattr(config, name)
        if not (points == least == 0) and not (3 <= points <= MOST_POINTS and points % 2):
            raise UserError(f"`{name}` {points} must be odd, from 3 to {MOST_POINTS}, so that the weights themselves "
                            f"are among them")  # fmt: skip
    for name in ("span", "distance"):
        if not 0 < getattr(config, name) < math.inf:
            raise UserError(f"`{name}` {getattr(config, name)} must be a positive finite number")
    check_least(config, {"samples": 1, "ascent_steps": 1, "eigenvalues": 1, "batch_size": 1, "jobs": 1})
    if config.iterations < config.eigenvalues:
        raise UserError(f"`iterations` {config.iterations} must be `eigenvalues` {config.eigenvalues} or more")
    if config.out.expanduser().resolve() == config.runs.expanduser().resolve():
        raise UserError(f"`out` {config.out} is `runs`, and its table.md would be lost; name another folder")


def chosen_runs(config: LandscapeConfig) -> tuple[list[RunConfig], int]:
    """(finished runs of the methods and networks asked for, number of unfinished runs of the comparison)."""
    found, unfinished = find_runs(config.runs.expanduser())
    methods, networks = config.methods or get_args(MethodName), config.networks or get_args(Network)
    runs = [run for run in found if run.method in methods and run.network in networks]
    if not runs:
        raise UserError(f"no finished run in {config.runs} has one of `methods` {' '.join(methods)} and `networks` "
                        f"{' '.join(networks)}")  # fmt: skip
    seeds = sorted({run.seed for run in runs})
    if config.plane_seed is not None and config.plane_seed not in seeds:
        raise UserError(f"`plane_seed` {config.plane_seed} is none of the runs' seeds {' '.join(map(str, seeds))}")
    return runs, unfinished


def main(config: LandscapeConfig) -> None:
    """Measure what has not been, write, and print the table."""
    check(config)
    runs, unfinished = chosen_runs(config)
    seed = min(run.seed for run in runs) if config.plane_seed is None else config.plane_seed
    out = config.out.expanduser()
    wanted = {run.out: settings_of(config, run.seed == seed and config.plane_points > 0) for run in runs}
    # One process reads the samples once; workers would each read them again.
    tasks = [plan(replace(run, workers=0), wanted[run.out], out) for run in runs]
    if config.dry_run:
        missing = [task for task in tasks if task.missing]
        print(f"{len(tasks)} runs: {len(tasks) - len(missing)} measured" + (":" if missing else ""))
        print(estimate(missing, config) if missing else "nothing is left to measure")
        return
    with only_writer(out, "is measuring"):
        _main(config, tasks, wanted, unfinished, out)


def _main(config: LandscapeConfig, tasks: Sequence[Task], wanted: dict, unfinished: int, out: Path) -> None:
    (out / "measurements").mkdir(exist_ok=True)
    missing = [task for task in tasks if task.missing]
    cores = share(len(missing), config.jobs, lambda: all_small([task.config for task in missing]))
    print(f"{len(tasks)} runs: {len(tasks) - len(missing)} measured, {len(missing)} to go, {cores.jobs} at a time",
          flush=True)  # fmt: skip
    complete_all(functools.partial(complete, config), missing, cores, config.progress, "landscape")
    records = []
    for task in tasks:
        cell = {name: getattr(task.config, name) for name in ("network", "method", "variant", "seed")}
        known = measurements(task.file, task.identity)
        records.append(cell | {part: known[part]["found"] for part in wanted[task.config.out]})
    options = {name: value for name, value in vars(config).items() if name in landscape_report.OPTIONS}
    print(landscape_report.write(records, [task.config for task in tasks], options, unfinished, out))
    files = sorted(path.name for path in out.iterdir() if path.is_file() and not path.name.startswith("."))
    print(f"\nWritten to {config.out}: {', '.join(files)}")
