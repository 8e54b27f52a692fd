"""The same steps on Ray Data: one actor a worker (and GPU, for local models), videos handed out in small groups.

Rows come back as JSON, so that Ray never guesses a type; all actors must see the same work folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import ray

from kframes_training.sources.peakclips.building import Part, Plan, VideoWorker, split_evenly
from kframes_training.sources.peakclips.media import Source


class _Actor:
    """A VideoWorker in Ray's form: a batch of groups of sources in, their tables out."""

    def __init__(self, plan: Plan) -> None:
        self.worker = VideoWorker(plan)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        found: list[Part] = []
        for texts in batch["sources"]:
            self.worker([Source(**fields) for fields in json.loads(str(texts))], found.append)
        return {
            "video_id": np.array([video_id for video_id, _ in found], dtype=object),
            "tables": np.array([json.dumps(tables) for _, tables in found], dtype=object),
        }


def run_on_ray(sources: Sequence[Source], plan: Plan, workers: int) -> Iterator[Part]:
    """(video id, rows) of every video, in any order.

    Args:
        sources: the videos; actors read them by the same paths.
        plan: what to do.
        workers: actors, >= 1; with a local model on a GPU each takes one GPU.
    """
    groups = split_evenly(sources, workers)
    ours = not ray.is_initialized()
    if ours:
        here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(workers, 1), "include_dashboard": False}
        ray.init(log_to_driver=False, configure_logging=True, logging_level="warning", **here)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = ray.data.from_items(
            [{"sources": json.dumps([asdict(source) for source in group])} for group in groups],
            override_num_blocks=len(groups),
        )
        gpus = 1 if (plan.device or "").startswith("cuda") else 0
        done = rows.map_batches(
            _Actor,
            fn_constructor_args=(plan,),
            batch_size=1,
            num_cpus=1,
            num_gpus=gpus,
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        for row in done.iter_rows():
            yield str(row["video_id"]), json.loads(row["tables"])
    finally:
        if ours:
            ray.shutdown()
