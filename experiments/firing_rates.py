"""How often the neurons of a trained spiking network fire, and what that would cost.

    python -m experiments.firing_rates --run runs/first

For a run of any task: the test split with the run's best weights; writes firing_rates.json and firing_rates.png into
the run's folder. The energy estimate is of classification alone.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.classification.options import RunConfig
from experiments.classification.spiking import of_encoders
from experiments.sweep import command_line
from experiments.sweep.runs import say
from iemf.analysis import plots
from iemf.errors import UserError
from iemf.files import write_json
from iemf.training import RunFolder, checkpoint
from iemf_snn.firing_rate import LayerRate, extremes


@dataclass(frozen=True)
class FiringRatesConfig:
    """Rate per layer and modality, silent neurons, synaptic operations and an energy estimate of a spiking run."""

    run: Path
    """Folder of a finished run with --network snn."""
    batch_size: int = 100


def inspect(run: Path, batch_size: int) -> dict:
    """Measure a run's best weights on its test split; the report that becomes firing_rates.json.

    Raises:
        UserError: the folder is not a finished spiking run.
    """
    if batch_size < 1:
        raise UserError(f"`batch_size` {batch_size} must be 1 or more")
    folder = RunFolder(run)
    stored = folder.read_config()
    if stored.get("network") != "snn":
        raise UserError(
            f"{run} is a run of `network` {stored.get('network')}, which has no spikes; name one of `network` snn"
        )
    results = folder.results()
    if results is None:
        raise UserError(f"{run} is not finished; go on with it first: the same command with `resume`")
    if stored.get("task", "classification") != "classification":
        return of_head(run, results, stored)
    return of_encoders(
        run, RunConfig.from_stored(stored), checkpoint.load(folder.best_checkpoint)["network"], batch_size
    )


def of_head(run: Path, results: dict, stored: dict) -> dict:
    """Of class-incremental learning and question answering, whose runs measure the spiking head when they test it."""
    return {
        "run": str(run),
        "time_steps": stored["time_steps"],
        "test_accuracy": results["test_accuracy"],
        "firing_rate": results["firing_rate"],
        "layers": results["firing_rate_layers"],
    }


def main(config: FiringRatesConfig) -> None:
    """Measure, write, and say it: a line a layer, a line in all; silent or saturated layers in a line on stderr."""
    run = config.run.expanduser()
    report = inspect(run, config.batch_size)
    write_json(run / "firing_rates.json", report)
    over = f" over {report['samples']} test samples" if "samples" in report else " over the test split"
    title = f"{run.name}: firing rates{over}, T = {report['time_steps']}"
    plots.firing_rates(report["layers"], run / "firing_rates.png", title)
    for layer in report["layers"]:
        print(f"{layer['modality']:7} {layer['layer']:26} rate {100 * layer['rate']:5.1f} %   "
              f"silent {100 * layer['silent']:5.1f} %   of {layer['neurons']} neurons")  # fmt: skip
    warning = extremes(LayerRate(**layer) for layer in report["layers"]).warning()
    if warning is not None:
        say("firing_rates", warning)
    told = f"overall rate {100 * report['firing_rate']:.1f} % of neuron-steps"
    if (cost := report.get("energy_per_sample")) is not None:
        told += f"; estimated energy a sample (45 nm): SNN {cost['snn_microjoule']:.2f} µJ, the same topology as ANN "
        told += f"{cost['ann_microjoule']:.2f} µJ"
    print(f"{told}; {config.run}")


if __name__ == "__main__":
    command_line.run_program("firing_rates")
