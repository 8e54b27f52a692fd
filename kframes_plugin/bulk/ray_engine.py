"""Units on Ray: one actor a worker, and a GPU each where the cluster has them. All machines must see the same files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from kframes_plugin.bulk.engines import UNDER_WAY
from kframes_plugin.bulk.requests import Unit
from kframes_plugin.bulk.worker import Result, Worker
from kframes_plugin.errors import needs_extra


def run_on_ray(units: Iterable[Unit], worker: Worker, workers: int) -> Iterator[list[Result]]:
    """As :func:`~kframes_plugin.bulk.engines.run_in_processes`, on Ray's actors.

    Args:
        units: read as actors become free.
        worker: goes to every actor, pickled.
        workers: actors, >= 1.

    Raises:
        SelectorError: Ray is not installed.
    """
    with needs_extra("ray", "the Ray engine"):
        import ray

    ours = not ray.is_initialized()
    if ours:
        here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, configure_logging=True, logging_level="warning", **here)
    try:
        gpus = 1 if ray.cluster_resources().get("GPU", 0) >= workers else 0
        actors = [
            ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=-1)(Worker).remote(
                worker.make, worker.k, worker.strategy, worker.finish
            )
            for _ in range(workers)
        ]
        source = iter(units)
        running: dict[Any, tuple[Any, Unit]] = {}
        load = dict.fromkeys(actors, 0)
        while True:
            for unit in islice(source, workers * UNDER_WAY - len(running)):
                actor = min(actors, key=load.__getitem__)
                load[actor] += 1
                running[actor.__call__.remote(unit)] = (actor, unit)
            if not running:
                return
            (done,), _ = ray.wait(list(running), num_returns=1)
            actor, unit = running.pop(done)
            load[actor] -= 1
            try:
                yield ray.get(done)
            except ray.exceptions.RayActorError as error:
                yield worker.fail(unit, "WorkerDied", f"its actor ended ({str(error).splitlines()[0]})")
    finally:
        if ours:
            ray.shutdown()
