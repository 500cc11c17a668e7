"""Audio-visual question answering: the baseline and ST-AVQA, vanilla, with joint learning and with IEMF.

    python -m experiments.avqa --out runs/avqa
    python -m experiments.avqa --model st-avqa --network snn --no-joint --seeds 0 --out runs/small
    python -m experiments.avqa --dataset music-avqa --data-root music-avqa --recipe original --out runs/music

Runs what is missing under OUT/runs, stage 1 of ST-AVQA once a seed, and writes table.md, results.json and pictures into
OUT. Run again, it goes on after the last epoch that was finished.
"""

import functools
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import nn

from experiments import avqa_data, avqa_report, cli
from experiments.avqa_options import GROUNDING, AVQARun, AVQAShared, ModelName, resolve, shared_options
from experiments.grid import default_jobs, run_pool
from experiments.options import Network, Variant
from iemf.avqa import accuracy
from iemf.avqa.baseline import Baseline
from iemf.avqa.data import AVQAData
from iemf.avqa.grounding import MatchNetwork
from iemf.avqa.st_avqa import STAVQA
from iemf.avqa.stages import AnswerStage, MatchStage, predict
from iemf.avqa.trainer import AVQAOptions, AVQATrainer, Stage
from iemf.balance import InverseEffectiveness, ReleasedInverseEffectiveness
from iemf.errors import UserError
from iemf.files import write_json
from iemf.seeds import Stream, mix_seed
from iemf.training import RunFolder, checkpoint
from iemf_snn.rate import RateCoded

VARIANTS: tuple[Variant, ...] = ("vanilla", "joint", "iemf")
BLIND = (("audio",), ("visual",), ("audio", "visual"))
MODELS = {"baseline": Baseline, "st-avqa": STAVQA}


@dataclass(frozen=True)
class AVQAConfig(AVQAShared):
    """Run or collect a grid of models x variants x networks x seeds, and tabulate it."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann",)
    """snn puts LIF neurons around the fusion layer."""
    models: Annotated[tuple[ModelName, ...], tyro.conf.arg(aliases=["--model"])] = ("baseline", "st-avqa")
    variants: tuple[Variant, ...] = VARIANTS
    """joint: the losses of both heads too, ξ = 1; iemf: these and ξ on the fusion layer."""
    iemf: bool = True
    """--no-iemf leaves that variant out."""
    joint: bool = True
    """--no-joint leaves that variant out."""
    blind: bool = False
    """Train the vanilla baseline also without sound, without pictures, and without both."""
    seeds: tuple[int, ...] = (0, 2025, 3917)
    jobs: int | None = None
    """Runs at a time; by default one on a GPU, one a core (four at most) without."""
    out: Path = Path("runs/avqa")
    """Folder of the table; the runs go into OUT/runs."""
    progress: bool = True


def grid(config: AVQAConfig) -> list[AVQARun]:
    """One resolved run a cell and seed; the blind ones last."""
    left_out = {name for name, wanted in (("joint", config.joint), ("iemf", config.iemf)) if not wanted}
    config = replace(config, variants=tuple(v for v in config.variants if v not in left_out))
    for name in ("networks", "models", "variants", "seeds"):
        chosen = getattr(config, name)
        if not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"--{name} {' '.join(map(str, chosen))}: name at least one, each once")
    if config.jobs is not None and config.jobs < 1:
        raise UserError(f"--jobs {config.jobs} must be 1 or more")
    refuse_unread(config)
    runs, shared = config.out.expanduser() / "runs", shared_options(config)
    shared |= {"cache": config.cache.expanduser(), "data_root": config.data_root and config.data_root.expanduser()}
    cells = [(n, m, v, ()) for n in config.networks for m in config.models for v in config.variants]
    cells += [("ann", "baseline", "vanilla", blind) for blind in BLIND if config.blind]
    return [
        resolve(AVQARun(**shared, network=n, model=m, variant=v, blind=blind, seed=seed,
                        out=runs / "-".join([n, m, v, *(f"no-{kind}" for kind in blind), f"seed{seed}"])))
        for n, m, v, blind in cells for seed in config.seeds
    ]  # fmt: skip


def refuse_unread(config: AVQAConfig) -> None:
    """Raise UserError for an option that none of the runs would read."""
    read = {"gamma": "iemf" in config.variants, "time_steps": "snn" in config.networks,
            "match_epochs": "st-avqa" in config.models, "cache": config.dataset == "av-digits-qa"}  # fmt: skip
    for name, is_read in read.items():
        value = getattr(config, name)
        if not is_read and value != getattr(AVQAShared, name):
            raise UserError(f"--{name.replace('_', '-')} {value} is read by none of the runs; leave it out")


def data_of(run: AVQARun) -> AVQAData:
    """The run's data, without the modalities that it is blind to."""
    return avqa_data.load(run.dataset, run.data_root, run.cache).blinded(run.blind)


def with_digest(runs: list[AVQARun]) -> list[AVQARun]:
    """The runs with the mark of their data; finished ones keep theirs, as the data may be gone by now.

    Raises:
        UserError: a folder holds a run of other options or data.
    """
    unfinished = any(RunFolder(run.out).results() is None for run in runs)
    digest = data_of(runs[0]).about["digest"] if unfinished else None
    marked = []
    for run in runs:
        folder = RunFolder(run.out)
        marked.append(replace(run, data_digest=digest or folder.read_config().get("data_digest")))
        folder.check(marked[-1].stored(), resume=True)
    other = next((run for run in marked if run.data_digest != marked[0].data_digest), None)
    if other is not None:
        raise UserError(f"{marked[0].out} and {other.out} were trained on different data; remove one of the folders")
    return marked


def activation(run: AVQARun) -> nn.Module:
    """Around the fusion layer."""
    return RateCoded(run.time_steps) if run.network == "snn" else nn.Tanh()


def build_network(run: AVQARun, data: AVQAData, taught: bool = True) -> Baseline | STAVQA | MatchNetwork:
    """With initial weights of the run's seed; if ``taught``, ST-AVQA with those that stage 1 has learnt."""
    torch.manual_seed(mix_seed(Stream.TASK, run.seed))
    if run.model == GROUNDING:
        return MatchNetwork(data.audio_size, data.visual_size, run.width)
    words, answers = (len(part) for part in data.vocabulary)
    make = functools.partial(activation, run)
    network = MODELS[run.model](data.audio_size, data.visual_size, words, answers, run.width, make)
    if run.model == "st-avqa" and taught:
        stage_1 = RunFolder(run.grounding.out)
        network.grounding.load_state_dict(checkpoint.load(stage_1.best_checkpoint)["network"])
    return network


def build_modulation(run: AVQARun, network: nn.Module, optimizer: torch.optim.Optimizer) -> InverseEffectiveness | None:
    """ξ on fc_fusion, of the runs with it; with Adam on its step. Released: on the gradient, with noise."""
    if run.variant != "iemf":
        return None
    fusion = network.answer.fc_fusion.parameters()
    if run.recipe == "released":
        return ReleasedInverseEffectiveness(fusion, seed=mix_seed(Stream.TASK, run.seed, 1))
    return InverseEffectiveness(
        fusion, run.gamma, scale="step" if run.optimizer == "adam" else "gradient", optimizer=optimizer
    )


def trainer_of(run: AVQARun, data: AVQAData, folder: RunFolder, network: nn.Module) -> AVQATrainer:
    """Everything a run trains with; the network is on its device."""
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[run.optimizer](network.parameters(), lr=run.lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, run.drop_every) if run.drop_every else None
    stage: Stage
    if run.model == GROUNDING:
        stage = MatchStage(network, data.val, run.batch_size)
    else:
        effect = build_modulation(run, network, optimizer)
        stage = AnswerStage(network, data.val, run.batch_size, run.variant != "vanilla", effect)
    options = AVQAOptions(run.epochs, run.batch_size, run.seed, run.progress)
    return AVQATrainer(stage, data.train, options, folder, optimizer, schedule)


def is_finished(run: AVQARun) -> bool:
    """Whether there are results, and of stage 1 the weights that stage 2 begins with."""
    folder = RunFolder(run.out)
    return folder.results() is not None and (run.model != GROUNDING or folder.best_checkpoint.exists())


def train(run: AVQARun) -> dict:
    """Run to the end and return the results; those of a run that had finished are read, not made again."""
    folder = RunFolder(run.out)
    folder.check(run.stored(), resume=True)
    if is_finished(run):
        return folder.results()
    data = data_of(run)
    if run.data_digest not in (None, data.about["digest"]):
        raise UserError(f"the data of {run.out.name} were changed meanwhile; run the same command again")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = trainer_of(run, data, folder, build_network(run, data).to(device))
    folder.start(run.stored())
    history = trainer.fit(resume=True)
    network = trainer.stage.module
    results = {"best_epoch": trainer.best_epoch, "seed": run.seed}
    if run.model == GROUNDING:
        checkpoint.save(folder.best_checkpoint, {"network": network.state_dict()})
        results["val_match_accuracy"] = history[trainer.best_epoch]["val_match_accuracy"]
    else:
        results |= tested(network, data, run, folder)
        results["val_accuracy"] = history[trainer.best_epoch]["val_accuracy"]
        results["xi"] = statistics.fmean(xis) if (xis := [e["xi"] for e in history if e["xi"] is not None]) else None
    write_json(folder.results_file, results)
    return results


def tested(network: nn.Module, data: AVQAData, run: AVQARun, folder: RunFolder) -> dict:
    """Answer the test questions, once; predictions.json has the answers by question id."""
    told = predict(network, data.test, run.batch_size).tolist()
    questions = data.test.questions
    predictions = {q.id: data.vocabulary.answers[number] for q, number in zip(questions, told, strict=True)}
    write_json(folder.path / "predictions.json", predictions)
    measured = accuracy.by_type([q.kind for q in questions], accuracy.join(questions, predictions))
    return {"test_accuracy": measured[accuracy.OVERALL], "test_accuracy_by_type": measured,
            "unknown_answers": data.test.unknown}  # fmt: skip


def cost(run: AVQARun) -> float:
    """Relative length: grounding doubles an epoch's."""
    return run.epochs * (1 if run.model == "baseline" else 2)


def progress(run: AVQARun) -> float:
    """The part of :func:`cost` that is behind a run."""
    return cost(run) * len(RunFolder(run.out).metrics()) / run.epochs


def train_missing(runs: Sequence[AVQARun], jobs: int, show: bool) -> list[str]:
    """Stage 1 where ST-AVQA needs it, then all that has no results; a line for each failure."""
    todo = [run for run in runs if RunFolder(run.out).results() is None]
    print(f"{len(runs)} runs: {len(runs) - len(todo)} finished, {len(todo)} to go, {jobs} at a time", flush=True)
    stage_1 = {run.grounding.out: run.grounding for run in todo if run.model == "st-avqa"}
    for run in stage_1.values():
        RunFolder(run.out).check(run.stored(), resume=True)
    missing = [run for run in stage_1.values() if not is_finished(run)]
    # Both kinds at once: what needs no stage 1 keeps the other cores busy.
    ready = [run for run in todo if run.model != "st-avqa"]
    failures = run_pool([*missing, *ready], jobs, train, cost, progress, show)
    broken = {run.out for run in missing if not is_finished(run)}
    waiting = [run for run in todo if run.model == "st-avqa" and run.grounding.out not in broken]
    return failures + run_pool(waiting, jobs, train, cost, progress, show)


def say_unknown(data: AVQAData) -> None:
    """One line on stderr if there are answers that train never had."""
    counts = {split: getattr(data, split).unknown for split in ("val", "test")}
    if any(counts.values()):
        told = ", ".join(f"{count} in {split}" for split, count in counts.items())
        print(f"avqa: answers that train never had, scored as wrong: {told}", file=sys.stderr)


def main(config: AVQAConfig) -> None:
    """Train what is missing, write, and print the table."""
    runs = grid(config)
    if any(RunFolder(run.out).results() is None for run in runs):
        if config.dataset == "av-digits-qa":
            avqa_data.make_if_missing(runs[0].cache, config.progress)
        say_unknown(data_of(runs[0]))
    runs = [replace(run, progress=False) for run in with_digest(runs)]
    failures = train_missing(runs, config.jobs or default_jobs(), config.progress)
    done = [(run, results) for run in runs if (results := RunFolder(run.out).results()) is not None]
    if not done:
        raise UserError(f"all {len(runs)} runs failed. {failures[0]}")
    print(avqa_report.write(done, config.out.expanduser()))
    if failures:
        raise UserError(f"{len(runs) - len(done)} of {len(runs)} runs failed, the table has the others. {failures[0]}")
    print(f"\nWritten to {config.out}: table.md, results.json and the pictures")


if __name__ == "__main__":
    cli.run(AVQAConfig, main, "avqa")
