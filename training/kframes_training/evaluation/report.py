"""The records of a run -> ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from kframes_training.evaluation.bench import Record, Settings
from kframes_training.evaluation.contenders import Contender
from kframes_training.evaluation.provenance import about_this_run
from kframes_training.evaluation.summary import compared, costs_of, standard_measures, table_of, values_of


def report_of(records: Sequence[Record], contenders: Sequence[Contender], ablated: Sequence[Contender],
              checkpoints: Sequence[str], best: str | None, settings: Settings) -> dict[str, Any]:  # fmt: skip
    """Everything the tables need."""
    values, measures = values_of(records), standard_measures(settings.ks)
    pairs = [(after, before) for before, after in pairwise(checkpoints)]
    if best:
        others = (*(name for name in checkpoints if name != best), "uniform", "scenes", "oracle clips")
        pairs = list(dict.fromkeys([*pairs, *((best, other) for other in others)]))
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
