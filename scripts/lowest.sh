#!/usr/bin/env bash
# The smoke suite with the lowest versions that pyproject.toml declares: of the core, of [torch,st], and of the adapters.
# Takes minutes and 6 GB of downloads, so it is no part of .ci/run. Needs uv. An argument names one of them: core, torch or adapters.
set -euo pipefail
cd "$(dirname "$0")/.."
declare -A extras=([core]="" [torch]="[torch,st,decord]" [adapters]="[langchain,llama-index,mcp]")
venvs="$(mktemp -d)"
trap 'rm -rf "$venvs"' EXIT
for name in ${1:-core torch adapters}; do
  uv venv --quiet --python 3.11 "$venvs/$name"
  uv pip install --quiet --python "$venvs/$name/bin/python" --resolution lowest-direct ".${extras[$name]}" \
    "pytest>=8.3" "pytest-timeout>=2.3" "pytest-asyncio>=1.0"
  uv pip list --quiet --python "$venvs/$name/bin/python" | grep -iE "^(av|numpy|pillow|typer|onnxruntime|torch|transformers|mcp) " || true
  "$venvs/$name/bin/python" -m pytest -q -m smoke tests/test_smoke.py
  rm -rf "${venvs:?}/$name"
done
