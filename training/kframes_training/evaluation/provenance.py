"""What a results file says of how it was made: commit, versions, device, seed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from kframes_training.evaluation.statistics import SEED


def about_this_run() -> dict[str, Any]:
    """Commit, versions, device and seed."""
    here = Path(__file__).parent
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=here, check=False)
    names = ("kframes", "torch", "transformers", "av", "numpy")
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "commit": git.stdout.strip() or None,
        "versions": {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}},
        "device": {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(), "cpu": cpu},
        "seed": SEED,
    }
