"""A question-answering run, from its config to its results, and the sweep over them."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from accelerate import Accelerator
from torch import nn

from experiments.avqa import build, report
from experiments.avqa import data as qa_data
from experiments.avqa.options import (
    GROUNDING,
    MODEL_LABELS,
    RULES,
    ModelName,
    RunConfig,
    TrainingConfig,
    defaults_of,
    resolve,
)
from experiments.sweep import published
from experiments.sweep.balance import BalancedSweep, stored_names, that_differ
from experiments.sweep.execution import sweep
from experiments.sweep.options import Network, cells_of_sweep, checked, fields_of, placed
from experiments.sweep.plan import FORWARD
from experiments.sweep.runs import best_of, carry_out, coefficients, rates_of, say, shared_digest
from experiments.sweep.task import Size, SweepTask, Trial
from iemf.avqa import accuracy
from iemf.avqa.data import AVQAData
from iemf.avqa.stages import predict
from iemf.errors import UserError
from iemf.files import write_json
from iemf.training import RunFolder
from iemf.training.effects import BatchScores
from iemf_snn.firing_rate import FiringRates

EPOCH_COSTS = {"baseline": 1, "st-avqa": 2.5, GROUNDING: 0.25}  # measured on av-digits-qa
BLIND = (("audio",), ("visual",), ("audio", "visual"))


@dataclass(frozen=True)
class AVQAConfig(BalancedSweep, TrainingConfig):
    """Run or collect a grid of models x variants x networks x seeds, and tabulate it."""

    networks: Annotated[tuple[Network, ...], tyro.conf.arg(aliases=["--network"])] = ("ann",)
    """snn puts LIF neurons around the fusion layer."""
    models: Annotated[tuple[ModelName, ...], tyro.conf.arg(aliases=["--model"])] = ("baseline", "st-avqa")
    blind: bool = False
    """Train the vanilla baseline also without sound, without pictures, and without both."""
    seeds: tuple[int, ...] = (0, 2025, 3917)
    out: Path = Path("runs/avqa")
    """Folder of the table; the runs go into OUT/runs."""


def grid(config: AVQAConfig) -> list[RunConfig]:
    """One resolved run a cell and seed; the blind ones last."""
    config = checked(config, "networks", "models", "balance")
    places = {name: None if (value := getattr(config, name)) is None else value.expanduser()
              for name in ("cache", "data_root")}  # fmt: skip
    shared = fields_of(config, TrainingConfig, progress=config.progress, **places)
    cells = [(n, m, b, v, ()) for n in config.networks for m in config.models for b in stored_names(config.balance)
             for v in that_differ(config.variants, b)]  # fmt: skip
    cells += [("ann", "baseline", None, "vanilla", blind) for blind in BLIND if config.blind]
    runs = [RunConfig(**shared, network=n, model=m, balance=b, variant=v, blind=blind, seed=seed)
            for n, m, b, v, blind in cells for seed in config.seeds]  # fmt: skip
    return placed(map(resolve, cells_of_sweep(runs, RULES)), defaults_of, config.out)


def is_finished(run: RunConfig) -> bool:
    """Whether there are results, and of stage 1 the weights that stage 2 begins with."""
    folder = RunFolder(run.out)
    return folder.results() is not None and (run.model != GROUNDING or folder.best_checkpoint.exists())


def train(run: RunConfig) -> dict:
    """Run to the end and return the results; those of a run that had finished are read, not made again."""
    folder = RunFolder(run.out)
    if folder.results() is not None and not is_finished(run):  # a stage 1 whose weights are gone: all of it anew
        folder.results_file.unlink()
        folder.forget_checkpoints()
    return carry_out(run, unchanged_data, _train)


def unchanged_data(run: RunConfig) -> AVQAData:
    """The run's data.

    Raises:
        UserError: they are not what the run says.
    """
    data = build.build_data(run)
    if run.data_digest not in (None, data.about["digest"]):
        raise UserError(f"the data of {run.out.name} were changed meanwhile; run the same command again")
    return data


def _train(run: RunConfig, data: AVQAData, folder: RunFolder, accelerator: Accelerator) -> dict:
    trainer = build.build_trainer(run, data, folder, accelerator)
    trainer.fit(resume=run.resume)
    best = best_of(trainer)
    chosen = trainer.history[best["best_epoch"]]
    if run.model == GROUNDING:
        return best | {"val_match_accuracy": chosen["val_match_accuracy"]}
    scores = BatchScores(accelerator)
    test = tested(trainer.stage.module, data, run, folder, accelerator, scores)
    measured = {"val_accuracy": chosen["val_accuracy_fused"]}
    return best | measured | coefficients(trainer.history, scores.effects(trainer.modulation)) | test


def tested(
    network: nn.Module, data: AVQAData, run: RunConfig, folder: RunFolder, accelerator: Accelerator, scores: BatchScores
) -> dict:
    """Answer the test questions, once; predictions.json has the answers by question id, ``scores`` what ξ is of."""
    spiking = {"fusion": network.answer}
    with FiringRates(spiking) if run.network == "snn" else contextlib.nullcontext() as rates:
        told = predict(network, data.test, run.batch_size, accelerator, scores=scores)
    questions, kinds = data.test.questions, [question.kind for question in data.test.questions]
    answers = [data.vocabulary.answers[number] for number in told["fused"].tolist()]
    predictions = {question.id: answer for question, answer in zip(questions, answers, strict=True)}
    if accelerator.is_main_process:
        write_json(folder.path / "predictions.json", predictions)
    measured = accuracy.by_type(kinds, accuracy.join(questions, predictions))
    alone = {f"test_accuracy_{name}": 100 * (numbers == data.test.answers).double().mean().item()
             for name, numbers in told.items() if name != "fused"}  # fmt: skip
    return {"test_accuracy": measured[accuracy.OVERALL], **alone, "test_accuracy_by_type": measured,
            "unknown_answers": data.test.unknown, **rates_of(rates)}  # fmt: skip


def prepare(runs: Sequence[RunConfig]) -> None:
    """Make av-digits-qa if it is not there; one line on stderr if there are answers that train never had."""
    if runs[0].dataset == "av-digits-qa":
        qa_data.make_if_missing(runs[0].cache, runs[0].progress)
    data = build.build_data(runs[0])
    counts = {split: getattr(data, split).unknown for split in ("val", "test")}
    if any(counts.values()):
        told = ", ".join(f"{count} in {split}" for split, count in counts.items())
        say("avqa", f"answers that train never had, scored as wrong: {told}")


def with_digest(runs: list[RunConfig]) -> list[RunConfig]:
    """The runs with the mark of their data.

    Raises:
        UserError: finished runs of one table were trained on different data.
    """
    runs = shared_digest(runs, lambda run: build.build_data(run).about["digest"])
    other = next((run for run in runs if run.data_digest != runs[0].data_digest), None)
    if other is not None:
        raise UserError(f"{runs[0].out} and {other.out} were trained on different data; remove one of the folders")
    return runs


def size_of(run: RunConfig) -> Size:
    """What a run would train, its stage 1 aside, which others share."""
    data = build.build_data(run)
    samples = run.epochs * (len(data.train) + FORWARD * len(data.val)) + FORWARD * len(data.test)
    paper = published.avqa_overall(run.model, run.variant) if run.paper() is not None else None
    label = MODEL_LABELS[run.cell[1]]
    variant = "blind to " + " and ".join(run.blind) if run.blind else run.variant
    return Size(samples, lambda accelerator: trial(run, accelerator), (label, run.network.upper()), (label, variant),
                "–" if paper is None else f"{paper:.2f}")  # fmt: skip


def trial(run: RunConfig, accelerator: Accelerator) -> Trial:
    """The first batch, without a stage 1 before it, which changes nothing in time."""
    trainer = build.build_trainer(run, build.build_data(run), RunFolder(run.out), accelerator, taught=False)
    batch = next(iter(trainer.stage.batches(0)))
    return Trial(trainer.step, batch, len(batch.answer))


TASK = SweepTask(
    train, size_of, report.write, prepare=prepare, mark=with_digest,
    before=lambda run: run.grounding if run.model == "st-avqa" else None, finished=is_finished,
    epoch_cost=lambda run: EPOCH_COSTS[run.model],
)  # fmt: skip


def main(config: AVQAConfig) -> None:
    """Train what is missing, write, and print the table."""
    sweep(config, grid(config), TASK, config.out.expanduser())
