"""Train one audio-visual classifier.

python -m experiments.classification --network snn --method ogm-ge --iemf --seed 0 --out runs/first
"""

from experiments.sweep import command_line

command_line.run_program("classification")
