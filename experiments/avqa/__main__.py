"""Audio-visual question answering: the baseline and ST-AVQA, vanilla, with joint learning and with IEMF.

    python -m experiments.avqa --out runs/avqa
    python -m experiments.avqa --model st-avqa --network snn --no-joint --seeds 0 --out runs/small
    python -m experiments.avqa --dataset music-avqa --data-root music-avqa --recipe original --out runs/music

Runs what is missing under OUT/runs, stage 1 of ST-AVQA once a seed, and writes table.md, results.json and pictures into
OUT. Run again, it goes on after the last epoch that was finished.
"""

from experiments.sweep import command_line

command_line.run_program("avqa")
