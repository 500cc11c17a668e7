"""Accuracy, firing rate and energy over T; see :mod:`experiments.classification.spikes`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("spikes")
