#!/usr/bin/env bash
# AV-Digits, all methods x {vanilla, joint, IEMF} x {ANN, SNN} x 3 seeds = 72 runs.
# About an hour on two cores. Interrupted, it goes on where it stopped when started again.
# OUT=dir moves the output; further options go to experiments.compare, e.g. --seeds 3 4 5.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
exec python -m experiments.compare --dataset av-digits --out "${out:-runs/av-digits}" "$@"
