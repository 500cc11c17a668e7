#!/usr/bin/env bash
# Four balancing methods x {vanilla, IEMF} x {ANN, SNN} on AV-Digits, one seed: a table, three pictures, about five minutes.
# Narrower than av_digits.sh (first stage of 8 channels instead of 16; the paper has 64), 7 epochs instead of 8, one seed
# instead of three, and without the joint-learning control.
# OUT=dir moves the output; started again, it leaves finished runs alone and goes on with the others.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
exec python -m experiments.compare --dataset av-digits --variants vanilla iemf --seeds 0 --width 8 --epochs 7 \
  --out "${out:-runs/quickstart}" "$@"
