"""What of ξ matters; see :mod:`experiments.classification.ablation`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("ablation")
