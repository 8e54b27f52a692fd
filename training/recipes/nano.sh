#!/usr/bin/env bash
# nano from nothing, every stage; resumable: run it again after a stop. `nano.sh --smoke` takes minutes.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OMP_WAIT_POLICY=passive  # spinning threads cost a factor of four here
export PYTHONPATH="$here/..:$here/../..${PYTHONPATH:+:$PYTHONPATH}"
out="${OUT:-runs/nano}"
case " $* " in *" --smoke "*) out="${OUT:-runs/nano-smoke}" ;; esac
exec "${PYTHON:-python}" -m kframes_training.nano "$here/nano.yaml" --out "$out" "$@"
