"""One run, from its config to its results, whatever the task."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from experiments.sweep.accelerator import accelerated
from experiments.sweep.allocator import keep_freed_memory
from experiments.sweep.memory import enough_for
from experiments.sweep.options import Run, RunBase
from iemf.files import write_json
from iemf.lock import only_writer
from iemf.training import RunFolder
from iemf.training.chance import is_near_chance
from iemf.training.effects import Effects
from iemf.training.loop import Trainer, Watch, unwatched
from iemf_snn.firing_rate import FiringRates
from iemf_snn.watch import SpikeWatch

Data = TypeVar("Data")
Work = Callable[[Run, Data, RunFolder, Accelerator], dict]


def carry_out(run: Run, read: Callable[[Run], Data], work: Work) -> dict:
    """Run to the end and return the results; those of a run that had finished are read, not made again.

    Args:
        run: resolved.
        read: its data; before the folder is made, so that bad data leave nothing behind.
        work: trains and tests; what it returns opens the results.

    Raises:
        UserError: the folder holds something else, another program trains in it, memory is not enough, or ``work`` says
            why it cannot go on.
    """
    keep_freed_memory()
    folder = RunFolder(run.out)
    folder.check(run.stored(), run.resume)
    if (results := folder.results()) is not None:
        return results
    began = time.perf_counter()
    with enough_for(run), accelerated(run.precision) as accelerator, _held(folder, accelerator):
        if accelerator.is_main_process:
            folder.check(run.stored(), run.resume)  # another program may have trained in it meanwhile
        data = read(run)
        accelerator.wait_for_everyone()  # every process has looked at the folder before one of them writes to it
        if accelerator.is_main_process:
            folder.start(run.stored())
        folder.identify(run.stored())
        accelerator.wait_for_everyone()
        results = work(run, data, folder, accelerator) | {
            "seed": run.seed,
            "seconds_this_session": time.perf_counter() - began,
            "device": str(accelerator.device),
            "torch": torch.__version__,
        }
        if accelerator.is_main_process:
            write_json(folder.results_file, results)
            folder.previous_checkpoint.unlink(missing_ok=True)  # nothing is left to go on with
            if line := has_not_learnt(run, folder.metrics()):
                say(run.out.name, line)
        accelerator.wait_for_everyone()
    return results


def _held(folder: RunFolder, accelerator: Accelerator) -> contextlib.AbstractContextManager:
    """The folder is this run's alone; of several processes the first one holds it for all."""
    return only_writer(folder.path, "is training") if accelerator.is_main_process else contextlib.nullcontext()


def best_of(trainer: Trainer) -> dict:
    """Which epoch validation chose."""
    return {"best_epoch": trainer.best["epoch"]}


def coefficients(history: list[dict], test: Effects) -> dict:
    """What goes into the results of ξ: of training and validation batches over the epochs of a run that had it, and of
    the test split's batches, each and their mean. Without IEMF "xi" is None, and there are no others."""
    of_epochs = {
        name: [record[name] for record in history if record.get(name) is not None] for name in ("xi", "xi_val")
    }
    means = {name: sum(values) / len(values) for name, values in of_epochs.items() if values}
    batches = {"xi_test_batches": test.xi} if test.xi else {}
    return {"xi": None} | means | test.means("test") | batches


def rates_of(rates: FiringRates | None) -> dict:
    """What goes into the results of a spiking run."""
    if rates is None:
        return {}
    return {"firing_rate": rates.overall(), "firing_rate_layers": [asdict(layer) for layer in rates.layers()]}


def has_not_learnt(run: RunBase, history: Sequence[dict]) -> str | None:
    """What to say of a run whose training accuracy is near chance at its end, and what to try; None of others."""
    last = history[-1] if history else {}
    accuracy, chance = last.get("train_accuracy_fused"), last.get("chance")
    if accuracy is None or chance is None or not is_near_chance(accuracy, chance):
        return None
    shape = "" if run.schedule == "cosine" else ", or --schedule cosine --warmup 100"
    return (
        f"training accuracy is {accuracy:.1f} % at the end, near chance ({chance:.1f} %, the most frequent class); try "
        f"--lr {3 * run.lr:.2g} or {run.lr / 3:.2g}, more than --epochs {run.epochs}{shape}"
    )


def watch_of(run: RunBase, modules: Mapping[str, nn.Module], accelerator: Accelerator) -> Watch:
    """Of spiking runs: the firing rate in each epoch's record, and a line about layers that are silent or saturated."""
    if run.network != "snn":
        return unwatched

    def warn(line: str) -> None:
        if accelerator.is_main_process:
            say(run.out.name, line)

    return SpikeWatch(modules, warn)


def results_of(run: RunBase) -> dict | None:
    """Of a finished run, None of an unfinished one."""
    return RunFolder(run.out).results()


def shared_digest(runs: list[Run], digest: Callable[[Run], str | None]) -> list[Run]:
    """The runs with the mark of their data: what ``digest`` gives if a run is still to be made, else what is stored, as
    the data may be gone by now."""
    if any(results_of(run) is None for run in runs):
        marks = [digest(runs[0])] * len(runs)
    else:
        marks = [RunFolder(run.out).read_config().get("data_digest") for run in runs]
    return [replace(run, data_digest=mark) for run, mark in zip(runs, marks, strict=True)]


def say(program: str, text: str) -> None:
    """A line beside the results."""
    print(f"{program}: {text}", file=sys.stderr, flush=True)
