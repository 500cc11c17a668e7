"""Files written whole, and what is left of those that were not."""

import os
import subprocess
import sys

from iemf.files import remove_unfinished


def test_what_a_dead_process_was_writing_is_removed_and_nothing_else(tmp_path):
    """Another live process may be one that trains the same run."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [f".last.pt.{os.getppid()}", ".notes.2024", "last.pt", f".last.tmp.{dead.pid}"]
    gone = [f".last.pt.{dead.pid}", f".metrics.jsonl.{os.getpid()}", f".config.json.{2**80}"]
    for name in kept + gone:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
