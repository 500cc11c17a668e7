"""Time the neuron or a training step beside other libraries, or the reading of data: in turns, in one run.

    python -m experiments.benchmark lif
    python -m experiments.benchmark step --out runs/step
    python -m experiments.benchmark loader
    python -m experiments.benchmark features
    python -m experiments.benchmark avqa

Of lif and step, every contestant has a process of its own, and they take turns, so that whatever else the machine does
hits all alike. Medians, and ratios of medians; memory is the most that a repetition's tensors hold.
"""

from experiments.sweep import command_line

command_line.run_program("benchmark")
