#!/usr/bin/env bash
# What a modality gains from having been trained with the other (Fig. 2 d): branches of OGM-GE, trained on alone, beside
# networks that never saw the other modality. AV-Digits, ANN and SNN. --dry-run says how long it takes here.
# First the runs of av_digits.sh that are not there yet, then 72 short ones of one modality.
# RUNS=dir is where the runs are or go to (that of av_digits.sh by default), OUT=dir takes the table and the picture;
# further options go to experiments.unimodal_gain, e.g. --networks ann --method concat.
# Interrupted, it goes on where it stopped when started again.
set -euo pipefail
runs=${RUNS:-} out=${OUT:-}
[[ -z $runs || $runs == /* ]] || runs=$PWD/$runs # as the caller means it
[[ -z $out || $out == /* ]] || out=$PWD/$out
cd "$(dirname "$0")/.."
python -m experiments.compare --dataset av-digits --out "${runs:-runs/av-digits}"
exec python -m experiments.unimodal_gain --runs "${runs:-runs/av-digits}" --out "${out:-runs/unimodal-gain}" "$@"
