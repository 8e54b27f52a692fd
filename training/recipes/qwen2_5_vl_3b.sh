#!/usr/bin/env bash
# The three stages of Qwen2.5-VL-3B on 8 GPUs (GPUS=1 for one). Each stage resumes by itself from its last checkpoint.
# LoRA by default, a copy of the model on every GPU; FULL=1 trains all weights, sharded over the GPUs.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
export PYTHONPATH="$here/..:$here/../..${PYTHONPATH:+:$PYTHONPATH}"
out="${OUT:-runs/qwen2_5_vl_3b}" config="${CONFIG:-$here/qwen2_5_vl_3b.yaml}" gpus="${GPUS:-8}"
launch=(accelerate launch --num_machines 1 --num_processes "$gpus" --mixed_precision "${PRECISION:-bf16}" --dynamo_backend no)
full=()
if [ -n "${FULL:-}" ]; then
  full=(--full)
  launch+=(--config_file "$here/fsdp.yaml")
elif [ "$gpus" -gt 1 ]; then
  launch+=(--multi_gpu)
fi
if [ -n "${CPU:-}" ]; then launch+=(--cpu); fi
train() { "${launch[@]}" -m kframes_training.stages.finetune "$config" "${full[@]}" "$@"; }
train --stage 1 --out "$out/stage1"
train --stage 2 --model "$out/stage1/final" --out "$out/stage2"
train --stage 3 --model "$out/stage2/final" --out "$out/stage3"
