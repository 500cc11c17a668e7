#!/usr/bin/env bash
# How the runs of av_digits.sh bear noise at ratios they were not tested at: accuracy over the SNR of each modality.
# First the runs that are not there yet (about an hour on two cores for all), then 14 evaluations of each (6 minutes).
# Interrupted, it goes on where it stopped when started again.
# RUNS=dir is where the runs are or go to (that of av_digits.sh by default), OUT=dir takes the table and the picture;
# further options go to experiments.robustness, e.g. --snr -10 0 10.
set -euo pipefail
runs=${RUNS:-} out=${OUT:-}
[[ -z $runs || $runs == /* ]] || runs=$PWD/$runs # as the caller means it
[[ -z $out || $out == /* ]] || out=$PWD/$out
cd "$(dirname "$0")/.."
python -m experiments.compare --dataset av-digits --out "${runs:-runs/av-digits}"
exec python -m experiments.robustness --runs "${runs:-runs/av-digits}" --out "${out:-runs/robustness}" "$@"
