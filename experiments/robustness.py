"""Accuracy under other noise; see :mod:`experiments.classification.robustness`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("robustness")
