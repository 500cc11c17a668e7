"""Class-incremental learning: fine-tuning, LwF, SSIL and AV-CIL, vanilla, with joint learning and with IEMF.

    python -m experiments.continual --out runs/continual
    python -m experiments.continual --method av-cil --network snn --no-joint --seeds 0 --out runs/small
    python -m experiments.continual --dataset ave-ci --data-root features/ave-ci --recipe original --out runs/ave

Runs what is missing under OUT/runs and writes table.md, results.json and two PNGs into OUT. Run again, it goes on after
the last epoch that was finished.
"""

from experiments.sweep import command_line

command_line.run_program("continual")
