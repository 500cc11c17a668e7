"""Training cost to the same errors; see :mod:`experiments.classification.cost`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("cost")
