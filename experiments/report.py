"""One page for finished runs; see :mod:`experiments.sweep.page`."""

from experiments.sweep import command_line

if __name__ == "__main__":
    command_line.run_program("report")
