#!/usr/bin/env bash
# Tables S2 (ann) and S3 (snn) of He et al. 2025, data set by data set; classification_ann.sh and classification_snn.sh
# call it. In: NETWORK, DATA, DATASETS, METHODS, VARIANTS, SEEDS, OUT, DRY_RUN; see there.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
absolute() { [[ $1 == /* ]] && echo "$1" || echo "$here/$1"; } # as the caller means it
read -ra datasets <<<"${DATASETS:-crema-d kinetics-sounds urbansound8k-av}"
read -ra methods <<<"${METHODS:-concat mslr ogm-ge lfm}"
read -ra variants <<<"${VARIANTS:-vanilla joint iemf}"
read -ra seeds <<<"${SEEDS:-0 1 2}"
out=$(absolute "${OUT:-runs/tables_s2_s3}")
dry=()
[[ -z ${DRY_RUN:-} || ${DRY_RUN} == 0 ]] || dry=(--dry-run)
if [[ -z ${DATA:-} && ${#dry[@]} == 0 ]]; then
  echo "classification_$NETWORK: error: DATA is not set; DATA=dir names the folder that holds crema-d/, kinetics-sounds/ and urbansound8k-av/ as experiments.prepare made them (docs/datasets.md)" >&2
  exit 2
fi
data=$(absolute "${DATA:-data}")
if [[ ${#dry[@]} == 0 ]]; then
  for dataset in "${datasets[@]}"; do # before hours of training
    if [[ ! -f $data/$dataset/manifest.json ]]; then
      echo "classification_$NETWORK: error: $data/$dataset is not prepared: python -m experiments.prepare $dataset --source RAW --out $data/$dataset, or leave it out of DATASETS" >&2
      exit 2
    fi
  done
fi
failed=()
for dataset in "${datasets[@]}"; do
  echo "== $dataset"
  python -m experiments.compare --dataset "$dataset" --data-root "$data/$dataset" --networks "$NETWORK" \
    --methods "${methods[@]}" --variants "${variants[@]}" --seeds "${seeds[@]}" --out "$out/$dataset/$NETWORK" \
    ${dry[@]+"${dry[@]}"} "$@" || {
    code=$?
    ((code < 128)) || exit "$code" # interrupted: not on to the next
    failed+=("$dataset")
  }
done
if ((${#failed[@]})); then
  echo "classification_$NETWORK: error: ${failed[*]} did not finish, see above; started again, it goes on" >&2
  exit 2
fi
