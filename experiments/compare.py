"""ANN against SNN, per fusion method, with and without IEMF; see :mod:`experiments.classification.compare`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("compare")
