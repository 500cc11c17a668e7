#!/usr/bin/env bash
# How flat the minima of av_digits.sh's runs are: profiles, planes, sharpness (Eq. 14), Hessian eigenvalues (Fig. 2 f).
# First the runs that are not there yet (about an hour on two cores for all), then a minute (ANN) or four (SNN) each.
# Interrupted, it goes on where it stopped when started again.
# RUNS=dir is where the runs are or go to (that of av_digits.sh by default), OUT=dir takes the table and the pictures;
# further options go to experiments.landscape, e.g. --methods concat, or --dry-run for the time on this machine.
set -euo pipefail
runs=${RUNS:-} out=${OUT:-}
[[ -z $runs || $runs == /* ]] || runs=$PWD/$runs # as the caller means it
[[ -z $out || $out == /* ]] || out=$PWD/$out
cd "$(dirname "$0")/.."
python -m experiments.compare --dataset av-digits --out "${runs:-runs/av-digits}"
exec python -m experiments.landscape --runs "${runs:-runs/av-digits}" --out "${out:-runs/landscape}" "$@"
