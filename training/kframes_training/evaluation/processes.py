"""Worker processes for work that is one task a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from typing import Any


def run_in_processes(
    work: Callable[[Any], Any],
    tasks: Sequence[Any],
    workers: int,
    start: Callable[..., None] | None = None,
    settings: Sequence[Any] = (),
) -> Iterator[Any]:
    """What ``work`` makes of every task, in any order, in processes that ``start(*settings)`` has made ready."""
    # one thread each: two that spin cost more than they bring
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"})
    with get_context("spawn").Pool(min(workers, len(tasks)), start, tuple(settings)) as pool:
        yield from pool.imap_unordered(work, tasks)
        pool.close()
        pool.join()
