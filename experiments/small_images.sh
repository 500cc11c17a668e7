#!/usr/bin/env bash
# What the stem and the learning rate do to ANN and SNN on images of 32 x 32 (AV-Digits, Concat, 3 seeds): 30 runs.
# Three tables: the published stem, and the one without its pool at two rates. Interrupted, it goes on where it stopped.
# OUT=dir moves the output; further options go to experiments.compare.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
compare() { python -m experiments.compare --dataset av-digits --methods concat --out "${out:-runs/small-images}/$1" "${@:2}"; }
compare 7x7 "$@"
compare 7x7-pool --variants joint --stem 7x7-pool --lr 0.02 "$@"
compare 7x7-lr0.02 --variants joint --lr 0.02 "$@"
