"""A run's folder: config.json, metrics.jsonl, checkpoints/, results.json, tensorboard/. Every write is atomic."""

import hashlib
import json
from pathlib import Path

from iemf.errors import UserError
from iemf.files import read_json, remove_unfinished, write_atomically, write_json
from iemf.lock import holds_nothing

# What may change between a run and its resumption without changing its result: where files lie (digests tell them
# apart), how many read them, what is shown, and how the paper's numbers are worded.
FREE_FIELDS = ("out", "resume", "workers", "progress", "data_root", "cache", "paper", "start")


def identifying(config: dict) -> dict:
    """What of a config tells one run from another: fields that are set, FREE_FIELDS aside."""
    return {name: value for name, value in config.items() if name not in FREE_FIELDS and value is not None}


def differing_fields(stored: dict, wanted: dict) -> list[str]:
    """The fields in which two configs differ, FREE_FIELDS aside, by name."""
    ours, theirs = identifying(wanted), identifying(stored)
    return [name for name in sorted(ours.keys() | theirs.keys()) if theirs.get(name) != ours.get(name)]


class RunFolder:
    """The folder of one run.

    Args:
        path: the folder; made by :meth:`start`.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.results_file = self.path / "results.json"
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.pt"
        self.previous_checkpoint = self.checkpoints / "previous.pt"  # the one before the last, while the run goes on
        self.best_checkpoint = self.checkpoints / "best.pt"
        self.identity, self.options = "", "{}"  # of the run that has been started

    def check(self, config: dict, resume: bool) -> None:
        """Refuse a folder that this run must not write to; touches nothing.

        Raises:
            UserError: the folder holds something else, a run of another config, or a run while ``resume`` is off.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise UserError(f"`out` {self.path} is a file; name a folder")
        if not self.config_file.exists():
            if not holds_nothing(self.path):
                raise UserError(f"`out` {self.path} holds files that are not a run's; name a new folder")
            return
        if not resume:
            state = "a finished" if self.results_file.exists() else "an unfinished"
            raise UserError(f"`out` {self.path} holds {state} run; add `resume` to go on with it or name a new folder")
        stored = self.read_config()
        if fields := differing_fields(stored, config):
            told = [f"{field}={stored.get(field)!r}, this run {config.get(field)!r}" for field in fields]
            raise UserError(
                f"{self.config_file} has {'; '.join(told)}; resume with the same options or name a new folder"
            )

    def start(self, config: dict) -> None:
        """Make the folder and write the config.

        Raises:
            UserError: the place cannot be written to.
        """
        self.identify(config)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_json(self.config_file, config)
            self.checkpoints.mkdir(exist_ok=True)
            remove_unfinished(self.path, self.checkpoints)
        except OSError as error:
            raise UserError(f"`out` {self.path} cannot be written ({error.strerror}); name another folder") from None

    def identify(self, config: dict) -> None:
        """Say which run this is; its checkpoints carry the mark, and the options that it is made of."""
        self.options = json.dumps(identifying(config), sort_keys=True)
        self.identity = hashlib.sha256(self.options.encode()).hexdigest()[:16]

    def read_config(self) -> dict:
        """The stored config.

        Raises:
            UserError: it is missing or not JSON.
        """
        return read_json(self.config_file)

    def results(self) -> dict | None:
        """The results of a finished run, None of an unfinished one."""
        return read_json(self.results_file) if self.results_file.exists() else None

    def metrics(self) -> list[dict]:
        """One record an epoch, oldest first."""
        if not self.metrics_file.exists():
            return []
        return [json.loads(line) for line in self.metrics_file.read_text(encoding="utf-8").splitlines()]

    def forget_checkpoints(self) -> None:
        """So that the run begins anew."""
        for path in (self.last_checkpoint, self.previous_checkpoint):
            path.unlink(missing_ok=True)

    def write_metrics(self, history: list[dict]) -> None:
        """Replace metrics.jsonl by ``history``."""
        write_atomically(self.metrics_file, "".join(json.dumps(record) + "\n" for record in history))
