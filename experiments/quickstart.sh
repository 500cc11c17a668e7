#!/usr/bin/env bash
# Two balancing methods x {vanilla, IEMF} x {ANN, SNN} on AV-Digits, one seed: a table, three pictures, about five minutes.
# Eight runs of a useful length rather than sixteen that have not learned; the other two methods:
# --methods concat mslr ogm-ge lfm. Beside av_digits.sh: 8 epochs instead of 12, one seed instead of three, and no
# joint-learning control.
# OUT=dir moves the output; started again, it leaves finished runs alone and goes on with the others.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
exec python -m experiments.compare --dataset av-digits --methods concat mslr --variants vanilla iemf --seeds 0 --epochs 8 \
  --out "${out:-runs/quickstart}" "$@"
