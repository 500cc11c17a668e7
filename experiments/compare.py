"""ANN against SNN, per fusion method, with and without IEMF, over seeds.

    python -m experiments.compare --out runs/compare
    python -m experiments.compare --methods concat ogm-ge --seeds 0 1 --epochs 5 --out runs/small

Runs what is missing under OUT/runs, collects what is there, and writes table.md, results.json, results.csv, epochs.csv
and three PNGs into OUT. Run again, it goes on where it stopped.
"""

from dataclasses import dataclass, fields
from pathlib import Path

from experiments import cli, plan, report
from experiments.classification import train
from experiments.grid import default_jobs, run_grid
from experiments.options import MethodName, Network, RunConfig, TrainingConfig, Variant
from iemf.errors import UserError


@dataclass(frozen=True)
class CompareConfig(TrainingConfig):
    """Run or collect a grid of methods x variants x networks x seeds and tabulate it."""

    networks: tuple[Network, ...] = ("ann", "snn")
    methods: tuple[MethodName, ...] = ("concat", "mslr", "ogm-ge", "lfm")
    variants: tuple[Variant, ...] = ("vanilla", "joint", "iemf")
    seeds: tuple[int, ...] = (0, 1, 2)
    out: Path = Path("runs/compare")
    """Folder of the table; the runs go into OUT/runs."""
    jobs: int | None = None
    """Runs at a time; by default one on a GPU, one a core (four at most) without."""
    collect: bool = False
    """Only tabulate the runs that are finished; train nothing."""
    dry_run: bool = False
    """Only print what would be trained, and how long it would take on this machine."""


def grid(config: CompareConfig) -> list[RunConfig]:
    """One run config a cell and seed; options of one network or variant are left out of the others."""
    shared = {field.name: getattr(config, field.name) for field in fields(TrainingConfig)}
    for_snn, for_iemf = ("time_steps", "lif_backend"), ("gamma", "gate", "scale", "modulate_from")
    for option, name, chosen in [("time_steps", "snn", config.networks), ("lif_backend", "snn", config.networks),
                                 *((option, "iemf", config.variants) for option in for_iemf)]:  # fmt: skip
        if shared[option] is not None and name not in chosen:
            raise UserError(f"--{option.replace('_', '-')} {shared[option]} is read by {name} runs, and there are none")
    runs = []
    for network in config.networks:
        for method in config.methods:
            for variant in config.variants:
                unread = (*(for_snn if network != "snn" else ()), *(for_iemf if variant != "iemf" else ()))
                options = shared | dict.fromkeys(unread)
                for seed in config.seeds:
                    out = config.out.expanduser() / "runs" / f"{network}-{method}-{variant}-seed{seed}"
                    runs.append(
                        RunConfig(**options, network=network, method=method, iemf=variant == "iemf",
                                  joint=variant == "joint", seed=seed, out=out)
                    )  # fmt: skip
    return runs


def main(config: CompareConfig) -> None:
    """Run, collect, write, and print the table."""
    for name in ("networks", "methods", "variants", "seeds"):
        chosen = getattr(config, name)
        if not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"--{name} {' '.join(map(str, chosen))}: name at least one, each once")
    if config.jobs is not None and config.jobs < 1:
        raise UserError(f"--jobs {config.jobs} must be 1 or more")
    runs = grid(config)
    if config.dry_run:
        print(plan.describe(runs))
        return
    failures = [] if config.collect else run_grid(runs, config.jobs or default_jobs(), train)
    if len(failures) == len(runs):
        raise UserError(f"all {len(runs)} runs failed. {failures[0]}")
    table = report.write(runs, config.out.expanduser())
    print(table)
    if failures:
        raise UserError(f"{len(failures)} of {len(runs)} runs failed, the table has the others. {failures[0]}")
    print(f"\nWritten to {config.out}: table.md, results.json, results.csv, epochs.csv and the pictures")


if __name__ == "__main__":
    cli.run(CompareConfig, main, "compare")
