"""Options of training for each cell of a comparison; see :mod:`experiments.classification.tune`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("tune")
