"""What a results file says of how it was made: commit, versions, device, seed, command line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kframes_training.evaluation.statistics import SEED


def about_this_run() -> dict[str, Any]:
    """Commit, versions, device, seed, command line, and the CPU minutes of this process and its children so far."""
    spent = os.times()
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
        "command": " ".join([Path(sys.argv[0]).name, *map(shorten_path, sys.argv[1:])]),
        "date": time.strftime("%Y-%m-%d"),
        "cpu_minutes": round((sum(spent[:4])) / 60, 2),
    }


def shorten_path(text: str) -> str:
    """An absolute path by its last part: reports are passed on, and the folders of a machine tell nobody anything."""
    return Path(text).name if Path(text).is_absolute() else text
