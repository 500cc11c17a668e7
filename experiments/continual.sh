#!/usr/bin/env bash
# {LwF, SSIL, AV-CIL} x {vanilla, IEMF} class after class on av-digits-ci, seeds 0 2025 3917: a table and two pictures,
# two to three minutes on two cores.
# DATA=dir instead runs every row of Table S4 of He et al. 2025 on the features in dir/ave-ci, dir/k-s-ci and
# dir/vs100-ci (docs/features.md), with the joint-learning control; the paper's numbers stand beside.
# DATASETS, METHODS, VARIANTS, SEEDS, NETWORKS and OUT=dir change what runs and where it goes; further options go to
# experiments.continual, e.g. --recipe original. Started again, it goes on after the last task that was finished.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
absolute() { [[ $1 == /* ]] && echo "$1" || echo "$here/$1"; } # as the caller means it
read -ra methods <<<"${METHODS:-lwf ssil av-cil}"
read -ra seeds <<<"${SEEDS:-0 2025 3917}"
read -ra networks <<<"${NETWORKS:-ann}"
out=$(absolute "${OUT:-runs/continual}")
common=(--networks "${networks[@]}" --methods "${methods[@]}" --seeds "${seeds[@]}")
if [[ -z ${DATA:-} ]]; then
  if [[ -n ${DATASETS:-} ]]; then
    echo "continual: error: DATASETS=$DATASETS without DATA; DATA=dir names the folder that holds them" >&2
    exit 2
  fi
  read -ra variants <<<"${VARIANTS:-vanilla iemf}"
  exec python -m experiments.continual "${common[@]}" --variants "${variants[@]}" --out "$out/av-digits-ci" "$@"
fi
read -ra variants <<<"${VARIANTS:-vanilla joint iemf}"
read -ra datasets <<<"${DATASETS:-ave-ci k-s-ci vs100-ci}"
data=$(absolute "$DATA")
for dataset in "${datasets[@]}"; do # before hours of training
  if [[ ! -d $data/$dataset ]]; then
    echo "continual: error: $data/$dataset is missing: make its features with python -m experiments.extract, or leave it out of DATASETS" >&2
    exit 2
  fi
done
failed=()
for dataset in "${datasets[@]}"; do
  echo "== $dataset"
  python -m experiments.continual --dataset "$dataset" --data-root "$data/$dataset" "${common[@]}" \
    --variants "${variants[@]}" --out "$out/$dataset" "$@" || {
    code=$?
    ((code < 128)) || exit "$code" # interrupted: not on to the next
    failed+=("$dataset")
  }
done
if ((${#failed[@]})); then
  echo "continual: error: ${failed[*]} did not finish, see above; started again, it goes on" >&2
  exit 2
fi
