"""Command lines from dataclasses; every error is one line and exit code 2. One table has all programs.

``iemf compare`` and ``python -m experiments.compare`` are the same program.
"""

import contextlib
import errno
import importlib
import io
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import tyro

from experiments.sweep.memory import enough_for
from iemf.data.names import is_utf8
from iemf.errors import UserError
from iemf.processes import launched

Config = TypeVar("Config")
# A full disk, a file or quota too large, a place that must not or cannot be written to.
NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
LARGEST = 2**32  # seeds are below it; sizes that large overflow in what is computed of them


@dataclass(frozen=True)
class Program:
    """Where a program is, what it does in one line, an example, and what is kept when it is interrupted."""

    module: str
    config: str  # its dataclass in that module
    about: str
    example: str
    kept: str = "epochs"
    again: str = "again"  # how it goes on


PROGRAMS = {
    "classification": Program("experiments.classification.run", "RunConfig", "train one audio-visual classifier",
                              "--network snn --method ogm-ge --iemf --seed 0 --out runs/first", again="with --resume"),
    "compare": Program("experiments.classification.compare", "CompareConfig",
                       "ANN against SNN, per fusion method, with and without IEMF",
                       "--methods concat ogm-ge --seeds 0 1 --epochs 5 --out runs/small"),
    "tune": Program("experiments.classification.tune", "TuneConfig",
                    "a learning rate for each cell of a comparison, on validation, n trials each",
                    "--methods concat ogm-ge --trials 8 --out runs/tune"),
    "robustness": Program("experiments.classification.robustness", "RobustnessConfig",
                          "how the runs of a comparison bear noise", "--runs runs/compare --out runs/robustness",
                          kept="evaluations"),
    "landscape": Program("experiments.classification.landscape", "LandscapeConfig",
                         "how flat the minima are that the runs of a comparison have found",
                         "--runs runs/compare --out runs/landscape", kept="measurements"),
    "ablation": Program("experiments.classification.ablation", "AblationConfig",
                        "what of ξ matters: γ, its gate, when it acts, that it answers to the batch",
                        "--networks ann --groups gamma fixed shuffled --gammas 1 5 --out runs/small"),
    "unimodal_gain": Program("experiments.classification.unimodal_gain", "UnimodalGainConfig",
                             "what a modality gains from having been trained with another",
                             "--runs runs/av-digits --networks ann --out runs/unimodal-gain"),
    "continual": Program("experiments.continual.run", "ContinualConfig", "class-incremental learning",
                         "--method av-cil --network snn --no-joint --seeds 0 --out runs/small"),
    "avqa": Program("experiments.avqa.run", "AVQAConfig", "audio-visual question answering",
                    "--model st-avqa --network snn --no-joint --seeds 0 --out runs/qa"),
    "prepare": Program("experiments.prepare", "PrepareConfig", "from files as people download them to shards",
                       "crema-d --source downloads/CREMA-D --out data/crema-d", kept="shards"),
    "extract": Program("experiments.extract", "ExtractConfig", "from films to features of frozen encoders",
                       "--task continual --dataset ave-ci --source AVE/videos --lists AV-CIL/data/AVE --out feats/ave",
                       kept="films"),
    "firing_rates": Program("experiments.firing_rates", "FiringRatesConfig",
                            "how often the neurons of a finished spiking run fire", "--run runs/first"),
    "spikes": Program("experiments.classification.spikes", "SpikesConfig",
                      "accuracy, firing rate and energy over the number of time steps",
                      "--runs runs/spikes/ann runs/spikes/T1 runs/spikes/T4 --out runs/spikes", kept="runs measured"),
    "cost": Program("experiments.classification.cost", "CostConfig",
                    "what training costs until it is as good", "--runs runs/av-digits --out runs/cost"),
    "report": Program("experiments.sweep.page", "ReportConfig", "one page of finished runs, to read and to hand on",
                      "--folders runs/av-digits runs/robustness --out runs/report"),
    "benchmark": Program("experiments.benchmark.run", "BenchmarkConfig",
                         "time the neuron, a training step, or the reading of data", "lif", kept="turns"),
    "reliability": Program("experiments.reliability.run", "ReliabilityConfig",
                           "kill programs at any moment, feed readers hostile files, run for long; and count",
                           "kills --trials 56 --out runs/reliability", kept="trials"),
}  # fmt: skip
TOGETHER = (
    "classification",
    "compare",
    "tune",
    "ablation",
    "continual",
    "avqa",
)  # what a launcher may start as processes
COMMANDS = {"train": "classification"} | {name.replace("_", "-"): name for name in PROGRAMS if name != "classification"}


def main() -> None:
    """The console command ``iemf``."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(overview())
        return
    if name not in COMMANDS:
        sys.exit(fail("iemf", UserError(f"{name!r} is no command; there are {', '.join(COMMANDS)} (--help)")))
    run_program(COMMANDS[name], sys.argv[2:], f"iemf {name}")


def overview() -> str:
    """What ``iemf --help`` prints."""
    width = max(map(len, COMMANDS))
    lines = ["usage: iemf COMMAND [OPTIONS]", ""]
    for command, name in COMMANDS.items():
        program = PROGRAMS[name]
        lines += [f"  {command:{width}}  {program.about}", f"  {'':{width}}  iemf {command} {program.example}"]
    return "\n".join([*lines, "", "iemf COMMAND --help lists the options of a command."])


def run_program(name: str, arguments: list[str] | None = None, called: str | None = None) -> None:
    """Run a program of the table.

    Args:
        name: its key.
        arguments: of its command line; by default the process's.
        called: how the user called it.
    """
    program = PROGRAMS[name]
    module = importlib.import_module(program.module)
    called = called or f"python -m experiments.{name}"
    run(getattr(module, program.config), module.main, name, arguments, called)


def run(
    config_type: type[Config],
    main: Callable[[Config], None],
    name: str,
    arguments: list[str] | None = None,
    called: str | None = None,
) -> None:
    """Parse the command line into ``config_type``, call ``main``, and exit.

    Exit codes: 0 done, 2 the user can mend it (one line on stderr), 130 interrupted, 143 asked to end; a defect shows
    its traceback.
    """
    program = PROGRAMS[name]
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be any bytes, and a terminal any encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    # As an exception, so that programs end the processes that they started.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        config = parse(config_type, arguments, called or f"python -m experiments.{name}", program)
        check_values(config)
        check_launcher(name)
        with enough_for(config):
            main(config)
    except UserError as error:
        sys.exit(fail(name, error))
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        sys.exit(fail(name, unwritable(error, program)))
    except KeyboardInterrupt:
        print(f"{name}: interrupted; finished {program.kept} are kept, the same command {program.again} goes on",
              file=sys.stderr)  # fmt: skip
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)


def unwritable(error: OSError, program: Program) -> UserError:
    """What to say of a place that a program could not write to."""
    return UserError(f"{error.filename or 'a file'} cannot be written ({error.strerror}); finished {program.kept} are "
                     f"kept: make room or mend the place, and the same command {program.again} goes on")  # fmt: skip


def parse(config_type: type[Config], arguments: list[str], called: str, program: Program | None = None) -> Config:
    """``config_type`` from a command line.

    Raises:
        UserError: an unknown option or value.
        SystemExit: code 0 after --help.
    """
    caught, about = io.StringIO(), None
    if program is not None:
        about = f"{config_type.__doc__}\n\nExample: {called} {program.example}"
    try:
        with contextlib.redirect_stderr(caught):
            return tyro.cli(config_type, args=arguments, prog=called, description=about)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{one_line(caught.getvalue())} (--help lists the options)") from None


def check_values(config: object) -> None:
    """Raise UserError for a value that no program can use: a path that is not UTF-8, as most libraries that read and
    write files take no other, and an integer that is no size of anything."""
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, int) and abs(value) >= LARGEST:
            raise UserError(f"`{field.name}` {value} must be below 2^32")
        if isinstance(value, Path) and not is_utf8(str(value.absolute())):
            raise UserError(f"`{field.name}` {value} is not UTF-8; rename the file or folder")


def check_launcher(name: str) -> None:
    """Raise UserError where a launcher has started several processes of a program that has work for one."""
    if launched() > 1 and name not in TOGETHER:
        raise UserError(f"{name} is a program of one process, and a launcher has started {launched()}; start it "
                        f"without")  # fmt: skip


def one_line(box: str) -> str:
    """The message in the framed, possibly coloured text that the parser prints."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip(" │╭╮╰╯─|") for line in text.splitlines()]
    lines = [
        line
        for line in lines
        if re.search(r"\w", line)
        and not line.startswith(("Parsing error", "Missing argument", "Missing from", "For full helptext"))
    ]
    lines = [line for line in lines if not line.startswith("Unrecognized options") or ":" in line]
    message = " ".join(lines).removeprefix("Value error ").removeprefix("Invalid choice ")
    # The parser lists every type it tried; the option and its value say enough.
    return re.sub(r"no type matching (\S+) could be instantiated from \['(.*?)'\].*", r"\2 is not one of \1", message)


def as_options(text: str) -> str:
    """Fields in backticks, as errors name them, as the options that set them: `data_root` -> --data-root."""
    return re.sub(r"`([a-z][a-z0-9_]*)`", lambda field: "--" + field[1].replace("_", "-"), text)


def fail(name: str, error: Exception) -> int:
    """Print an error on one line; the exit code that goes with it."""
    # An error from a loader's worker carries that process's traceback; its last line is the message.
    message = str(error).strip().splitlines()[-1].removeprefix("iemf.errors.UserError: ")
    shown = as_options(message).encode(errors="backslashreplace").decode()  # names of files may be any bytes
    print(f"{name}: error: {shown}", file=sys.stderr)
    return 2


def configs() -> dict[str, type[Any]]:
    """{program: its dataclass}, all of them imported."""
    return {name: getattr(importlib.import_module(each.module), each.config) for name, each in PROGRAMS.items()}
