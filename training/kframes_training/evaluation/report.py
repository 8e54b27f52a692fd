"""The records of a run -> ``results.json``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from kframes_training.evaluation.bench import Record, Settings
from kframes_training.evaluation.contenders import Contender
from kframes_training.evaluation.statistics import SEED
from kframes_training.evaluation.summary import compared, costs_of, standard_measures, table_of, values_of


def report_of(records: Sequence[Record], contenders: Sequence[Contender], ablated: Sequence[Contender],
              checkpoints: Sequence[str], best: str | None, settings: Settings) -> dict[str, Any]:  # fmt: skip
    """Everything the tables need."""
    values, measures = values_of(records), standard_measures(settings.ks)
    pairs = [(after, before) for before, after in pairwise(checkpoints)]
    pairs += [(best, "uniform"), (best, "scenes"), (best, "oracle clips")] if best else []
    lengths = {record["video"]: record["duration"] for record in records}
    return {
        "benchmark": "synthscenes",
        **about_this_run(),
        "split": settings.split,
        "videos": len(lengths),
        "seconds": round(sum(lengths.values()), 1),
        "candidates": contenders[0].candidates,
        "frame_size": settings.frame_size,
        "ks": list(settings.ks),
        "answerer": settings.answerer is not None,
        "contenders": [contender.name for contender in contenders],
        "ablations": [contender.name for contender in ablated],
        "best": best,
        "table": table_of(values),
        "differences": compared(values, pairs, measures),
        "ablation_differences": compared(values, [(one.name, best) for one in ablated if best], measures),
        "costs": costs_of(records),
        "cpu_seconds": round(sum(record["seconds"]["share"] for record in records), 1),
    }


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
