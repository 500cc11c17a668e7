"""How flat the minima of finished runs are; see :mod:`experiments.classification.landscape`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("landscape")
