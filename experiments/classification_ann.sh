#!/usr/bin/env bash
# Table S2 of He et al. 2025 (ANN): CREMA-D, Kinetics-Sounds and UrbanSound8K-AV x four methods x {vanilla, joint, IEMF}.
#
#   DATA=data bash experiments/classification_ann.sh
#   DRY_RUN=1 bash experiments/classification_ann.sh       the plan, with the paper's numbers and an estimate of the time
#   DATA=data DATASETS=crema-d METHODS="concat ogm-ge" SEEDS="0 1" bash experiments/classification_ann.sh --epochs 30
#
# DATA holds a folder for each data set, as experiments.prepare made it. DATASETS, METHODS, VARIANTS and SEEDS choose a part
# (by default everything, seeds 0 1 2: 108 runs); OUT=dir moves the output; options go to experiments.compare. Started
# again, it goes on. Each run's config.json opens with the paper's number; each table has it in its last columns.
set -euo pipefail
NETWORK=ann exec bash "$(dirname "$0")/tables_s2_s3.sh" "$@"
