#!/usr/bin/env bash
# Accuracy, firing rate and estimated energy of spiking networks over T = 1, 2, 4, 8, beside the ANN: AV-Digits, Concat
# with joint learning, 3 seeds = 15 runs, about 20 minutes on two cores; a table and a picture.
# STEPS, METHODS, VARIANTS, SEEDS and OUT=dir change what runs and where it goes; further options go to
# experiments.compare. Interrupted, it goes on where it stopped when started again.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
out=${out:-runs/spikes}
read -ra steps <<<"${STEPS:-1 2 4 8}"
read -ra methods <<<"${METHODS:-concat}"
read -ra variants <<<"${VARIANTS:-joint}"
read -ra seeds <<<"${SEEDS:-0 1 2}"
compare() { python -m experiments.compare --methods "${methods[@]}" --variants "${variants[@]}" --seeds "${seeds[@]}" "$@"; }
runs=("$out/ann")
compare --networks ann --out "$out/ann" "$@"
for t in "${steps[@]}"; do
  compare --networks snn --time-steps "$t" --out "$out/T$t" "$@"
  runs+=("$out/T$t")
done
exec python -m experiments.spikes --runs "${runs[@]}" --out "$out"
