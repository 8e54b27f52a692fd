"""Bulk runs: selections one after another for a program, or into a folder, where what is done is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from kframes_plugin.bulk.engines import run_here, run_in_processes
from kframes_plugin.bulk.requests import Engine, Request, make_units
from kframes_plugin.bulk.store import ResultFolder
from kframes_plugin.bulk.worker import Result, Worker

if TYPE_CHECKING:
    from kframes_plugin.bulk.requests import Failure, Unit
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.selection import Selection
    from kframes_plugin.types import Strategy


@dataclass(frozen=True)
class Ready:
    """Gives a KFrames that is there already."""

    kframes: KFrames

    def __call__(self) -> KFrames:
        return self.kframes


def select_requests(
    kframes: KFrames,
    requests: Iterable[tuple[Any, ...]],
    k: int,
    strategy: Strategy | None,
    workers: int,
    ordered: bool,
) -> Iterator[Selection | Failure]:
    """See :meth:`KFrames.select_many`."""
    worker = Worker(Ready(kframes), k, strategy)
    units = make_units(requests)
    batches = run_here(units, worker) if workers == 1 else run_in_processes(units, worker, workers, ordered=ordered)
    for batch in batches:
        yield from batch


@dataclass(frozen=True)
class Counts:
    """What a run found and did: requests answered, failed, and those of them that were there before."""

    done: int
    failed: int
    before: int


def run_jobs(
    requests: Sequence[Request],
    make: Callable[[], KFrames],
    results: ResultFolder,
    *,
    workers: int = 1,
    engine: Engine = "local",
    retry: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Answer requests into a folder.

    Args:
        requests: their videos are paths or URLs.
        make: gives the KFrames, once a worker; can be pickled.
        results: where they go; what it holds already is not done again.
        workers: processes or actors, >= 1.
        engine: "local", or "ray".
        retry: do those again that failed before.
        progress: called with (done, total).
    """
    distinct = {results.name(request): request for request in requests}
    rows = {name: results.read(request) for name, request in distinct.items()}
    for name, row in rows.items():
        if retry and row is not None and "error" in row:
            results.forget(distinct[name])
            rows[name] = None
    known = [row for row in rows.values() if row is not None]
    results.begin_table(known)
    waiting = [request for name, request in distinct.items() if rows[name] is None]
    failed = sum("error" in row for row in known)
    counts = Counts(len(known) - failed, failed, len(known))
    worker = Worker(make, finish=results.save)
    batches = _run(make_units(waiting), worker, workers, engine) if waiting else iter(())
    for row in chain.from_iterable(batches):
        results.append(row)
        bad = int("error" in row)
        counts = Counts(counts.done + 1 - bad, counts.failed + bad, counts.before)
        if progress is not None:
            progress(counts.done + counts.failed, len(distinct))
    return counts


def _run(units: Iterator[Unit], worker: Worker, workers: int, engine: Engine) -> Iterator[list[Result]]:
    if engine == "ray":
        from kframes_plugin.bulk.ray_engine import run_on_ray

        return run_on_ray(units, worker, workers)
    return run_here(units, worker) if workers == 1 else run_in_processes(units, worker, workers)
