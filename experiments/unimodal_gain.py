"""Branches trained on alone; see :mod:`experiments.classification.unimodal_gain`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("unimodal_gain")
