#!/usr/bin/env bash
# {baseline, ST-AVQA} x {vanilla, IEMF} on av-digits-qa, seed 0: a table, three radar charts and a picture of scenes,
# about 10 minutes on two cores, the first half minute for the data, made once.
# DATA=dir instead runs every row of Table S5 of He et al. 2025 on MUSIC-AVQA in dir (docs/features.md), seeds 0 2025
# 3917, with the joint-learning control; the paper's numbers stand below ours.
# MODELS, VARIANTS, SEEDS, NETWORKS and OUT=dir change what runs and where it goes; further options go to
# experiments.avqa, e.g. --recipe original or --blind. Started again, it goes on after the last epoch that was finished.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
absolute() { [[ $1 == /* ]] && echo "$1" || echo "$here/$1"; } # as the caller means it
read -ra models <<<"${MODELS:-baseline st-avqa}"
read -ra networks <<<"${NETWORKS:-ann}"
out=$(absolute "${OUT:-runs/avqa}")
common=(--models "${models[@]}" --networks "${networks[@]}")
if [[ -z ${DATA:-} ]]; then
  read -ra variants <<<"${VARIANTS:-vanilla iemf}"
  read -ra seeds <<<"${SEEDS:-0}"
  exec python -m experiments.avqa "${common[@]}" --variants "${variants[@]}" --seeds "${seeds[@]}" --out "$out/av-digits-qa" "$@"
fi
read -ra variants <<<"${VARIANTS:-vanilla joint iemf}"
read -ra seeds <<<"${SEEDS:-0 2025 3917}"
exec python -m experiments.avqa --dataset music-avqa --data-root "$(absolute "$DATA")" "${common[@]}" \
  --variants "${variants[@]}" --seeds "${seeds[@]}" --out "$out/music-avqa" "$@"
