#!/usr/bin/env bash
# Build a TensorRT engine of a model for all sizes on the device that will run them: jetson.sh CHECKPOINT OUT SIZE...
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CHECKPOINT OUT_FOLDER HEIGHTxWIDTH..." >&2
    exit 2
fi
model=$1 out=$2
shift 2
mkdir -p "$out"
if command -v nvpmodel > /dev/null; then
    sudo nvpmodel -q | tee "$out/power_mode.txt"
    sudo jetson_clocks
fi
sizes=$(IFS=,; echo "$*")
perception export "$model" --out "$out/model.engine" --format tensorrt --size "$sizes" --half true --timing 50
