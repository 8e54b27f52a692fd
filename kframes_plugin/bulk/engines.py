"""Who works on units: this process with one thread that decodes ahead, several processes, or Ray's actors.

Every engine takes units one by one, keeps few under way, and gives results back as they come.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TYPE_CHECKING

from kframes_plugin.bulk.requests import Failure, Unit
from kframes_plugin.bulk.worker import Result, Worker

if TYPE_CHECKING:
    from kframes_plugin.session import VideoSession

UNDER_WAY = 3  # units a worker: one in work, the others waiting, or done and waiting for their turn


def run_here(units: Iterable[Unit], worker: Worker) -> Iterator[list[Result]]:
    """In this process, in order. The next video is decoded in a thread while the model works on this one."""
    waiting: deque[tuple[Unit, Future[VideoSession | Failure] | None]] = deque()
    with ThreadPoolExecutor(1, "kframes-ahead") as ahead:
        try:
            for unit in units:
                named = isinstance(unit[0].video, str | os.PathLike)  # frames and open videos are their owner's
                waiting.append((unit, ahead.submit(worker.look, unit) if named else None))
                if len(waiting) > 1:
                    yield _answer(worker, *waiting.popleft())
            while waiting:
                yield _answer(worker, *waiting.popleft())
        finally:
            for _, seen in waiting:
                if seen is not None and not seen.cancel():
                    session = seen.result()
                    if not isinstance(session, Failure):
                        session.close()


def _answer(worker: Worker, unit: Unit, seen: Future[VideoSession | Failure] | None) -> list[Result]:
    return worker(unit) if seen is None else worker.answer(unit, seen.result())


def run_in_processes(
    units: Iterable[Unit], worker: Worker, workers: int, *, ordered: bool = False
) -> Iterator[list[Result]]:
    """In worker processes. A process that dies costs only the request that kills it.

    Args:
        units: read as processes become free.
        worker: goes to every process, pickled.
        workers: processes, >= 1.
        ordered: give results in the order of the units; otherwise as they come.
    """
    source = iter(units)
    pool = _Pool(worker, workers)
    waiting: dict[Future[list[Result]], Unit] = {}  # in order; few, so that results that wait for others are few too
    try:
        while True:
            for unit in islice(source, workers * UNDER_WAY - len(waiting)):
                waiting[pool.submit(unit)] = unit
            if not waiting:
                return
            wait(islice(waiting, 1) if ordered else waiting, return_when=FIRST_COMPLETED)
            if any(map(_is_lost, waiting)):
                left, waiting = waiting, {}
                pool.renew()
                for future, unit in left.items():
                    whole = future.done() and not future.cancelled() and not _is_lost(future)
                    yield _result(future, unit, worker) if whole else _answer_alone(pool, unit, worker)
            for future in list(waiting):
                if future.done():
                    unit = waiting.pop(future)
                    yield _result(future, unit, worker)
                elif ordered:
                    break
    finally:
        pool.stop()


def _result(future: Future[list[Result]], unit: Unit, worker: Worker) -> list[Result]:
    """What a process made of a unit; what cannot travel to one (an open file) costs its own requests."""
    try:
        return future.result()
    except (TypeError, pickle.PicklingError) as error:
        return worker.fail(
            unit, type(error).__name__, f"the video cannot go to another process ({error}); use workers=1"
        )


def _is_lost(future: Future[list[Result]]) -> bool:
    return future.done() and not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)


def _answer_alone(pool: _Pool, unit: Unit, worker: Worker) -> list[Result]:
    """One unit with nobody beside it, then one by one, so that it is known which request ends a process."""
    try:
        return pool.submit(unit).result()
    except BrokenProcessPool:
        pool.renew()
    if len(unit) == 1:
        return worker.fail(unit, "WorkerDied", "its process ended (out of memory, or killed); use fewer workers")
    return [result for request in unit for result in _answer_alone(pool, [request], worker)]


class _Pool:
    """Processes that were started anew (spawn: no lock or thread of ours is copied), each with one worker."""

    def __init__(self, worker: Worker, workers: int) -> None:
        self._worker = pickle.dumps(worker)
        self._workers = workers
        self._processes = self._start()

    def submit(self, unit: Unit) -> Future[list[Result]]:
        try:
            return self._processes.submit(_work, unit)
        except BrokenProcessPool as error:  # it broke while nobody waited
            failed: Future[list[Result]] = Future()
            failed.set_exception(error)
            return failed

    def renew(self) -> None:
        self.stop()
        self._processes = self._start()

    def stop(self) -> None:
        self._processes.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> ProcessPoolExecutor:
        threads = max(1, _count_cores() // self._workers)
        return ProcessPoolExecutor(
            self._workers, get_context("spawn"), initializer=_begin, initargs=(threads, self._worker)
        )


_worker: Worker | None = None  # of this process


def _begin(threads: int, worker: bytes) -> None:
    """Set up a process: its share of the cores first, which libraries read when they are imported."""
    global _worker
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    _worker = pickle.loads(worker)


def _work(unit: Unit) -> list[Result]:
    assert _worker is not None
    return _worker(unit)


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    count = os.cpu_count()
    return 1 if count is None else count
