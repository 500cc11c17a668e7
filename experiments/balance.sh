#!/usr/bin/env bash
# Eight balancing methods x {vanilla, joint, IEMF where they differ} x {ANN, SNN} on AV-Digits, tuned alike: learning rate and
# each method's own constant by as many trials on validation (seed 0), then a comparison over five other seeds.
# 44 cells: 352 trials of 12 epochs and 220 runs, days on two cores; --dry-run says how long it takes here.
# TRIALS, METHODS, SEEDS and OUT=dir change what runs and where it goes; further options go to both programs, e.g.
# --networks ann. Interrupted, it goes on where it stopped when started again.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
out=${out:-runs/balance}
read -ra methods <<<"${METHODS:-concat mslr ogm-ge lfm mmpareto agm pmr g-blending}"
read -ra seeds <<<"${SEEDS:-1 2 3 4 5}"
python -m experiments.tune --methods "${methods[@]}" --trials "${TRIALS:-8}" --constants --out "$out/tune" "$@"
[[ -f $out/tune/tuned.json ]] || exit 0 # a dry run
exec python -m experiments.compare --methods "${methods[@]}" --seeds "${seeds[@]}" --tuned "$out/tune/tuned.json" \
  --out "$out/compare" "$@"
