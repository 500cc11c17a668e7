#!/usr/bin/env bash
# The ablation of ξ on AV-Digits (OGM-GE, ANN and SNN, 3 seeds): γ, gates, windows, shuffled and fixed ξ, the released
# recipe; then, with AdamW, ξ on the gradient beside ξ on the step, in OUT/adamw. --dry-run says how long it takes here.
# OUT=dir moves the output; further options go to both calls of experiments.ablation, e.g. --networks ann.
# Interrupted, it goes on where it stopped when started again.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
out=${out:-runs/ablation}
python -m experiments.ablation --out "$out" "$@"
exec python -m experiments.ablation --optimizer adamw --groups scale --out "$out/adamw" "$@"
