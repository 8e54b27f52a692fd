#!/usr/bin/env bash
# The three stages of Qwen2.5-VL-3B on 8 GPUs (GPUS=1 for one). Each stage resumes by itself from its last checkpoint.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
export PYTHONPATH="$here/..:$here/../..${PYTHONPATH:+:$PYTHONPATH}"
out="${OUT:-runs/qwen2_5_vl_3b}" config="${CONFIG:-$here/qwen2_5_vl_3b.yaml}"
launch=(accelerate launch --config_file "$here/fsdp.yaml" --num_processes "${GPUS:-8}" -m kframes_training.finetune "$config")
"${launch[@]}" --stage 1 --out "$out/stage1"
"${launch[@]}" --stage 2 --model "$out/stage1/final" --out "$out/stage2"
"${launch[@]}" --stage 3 --model "$out/stage2/final" --out "$out/stage3"
