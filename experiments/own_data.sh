#!/usr/bin/env bash
# What folder's defaults are worth on two small folders of one's own, ANN and SNN: 600 training clips of 10 classes and 60 of
# 4, speakers kept apart (examples/own_data.py, which needs the extra "speech").
# SEEDS="0 1 2" names the seeds, OUT=dir moves the output; further options go to experiments.compare. Interrupted, it goes
# on where it stopped.
set -euo pipefail
out=${OUT:-}
[[ -z $out || $out == /* ]] || out=$PWD/$out # as the caller means it
cd "$(dirname "$0")/.."
out=${out:-runs/own-data}
read -ra seeds <<<"${SEEDS:-0 1 2}"
make() { [[ -d $out/$1/data ]] || python examples/own_data.py --out "$out/$1/data" "${@:2}"; }
compare() {
  python -m experiments.compare --dataset folder --data-root "$out/$1/data" --image-size 64 --spectrogram-size 64 --seconds 1 \
    --width 16 --methods concat --variants vanilla --seeds "${seeds[@]}" --workers 0 --out "$out/$1/$2" "${@:3}"
}
make 600
make 60 --classes 4 --train 15
compare 600 own "$@"
compare 60 own "$@"
# What is left of it in four epochs, beside the paper's rate, which is made for a hundred epochs of 6698 clips.
compare 600 own-4 --epochs 4 "$@"
compare 600 paper-4 --epochs 4 --lr 0.005 --momentum 0 --schedule constant --warmup 0 "$@"
