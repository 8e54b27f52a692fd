"""Measure all contenders on all videos, on several cores; a stopped run goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from kframes_training.evaluation.bench import Bench, Record, Settings
from kframes_training.evaluation.contenders import Contender
from kframes_training.evaluation.resuming import read_records, same_run

Task = tuple[int, list[Contender]]


def run(out: Path, seeds: Sequence[int], contenders: Sequence[Contender], settings: Settings, folders: Sequence[str],
        *, workers: int = 1) -> list[Record]:  # fmt: skip
    """Measure every contender on the video of every seed; what ``out`` holds already is kept.

    Args:
        out: folder of the run.
        seeds: of the videos.
        contenders: who is measured.
        settings: of the run.
        folders: of the checkpoints among the contenders.
        workers: processes; 1 measures in this one.

    Returns:
        One record a (video, contender), in the order of seeds and contenders.

    Raises:
        ValueError: ``out`` holds a run with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    same_run(out / "run.json", contenders, settings)
    file = out / "records.jsonl"
    done = {(record["seed"], record["selector"]): record for record in read_records(file)}
    left = [(seed, [c for c in contenders if (seed, c.name) not in done]) for seed in seeds]
    tasks = [(seed, todo) for seed, todo in left if todo]
    with file.open("a", encoding="utf-8") as stream:
        for records in tqdm(measured(tasks, settings, folders, workers), total=len(tasks), desc="videos", unit="video"):
            stream.writelines(json.dumps(record) + "\n" for record in records)
            stream.flush()
            done |= {(record["seed"], record["selector"]): record for record in records}
    return [done[seed, contender.name] for seed in seeds for contender in contenders]


def measured(tasks: Sequence[Task], settings: Settings, folders: Sequence[str], workers: int) -> Iterator[list[Record]]:
    """The records of every task, in any order."""
    if workers == 1 or len(tasks) < 2:
        bench = Bench(settings, folders) if tasks else None
        yield from (bench.measure(*task) for task in tasks if bench)
        return
    yield from in_processes(_measure, tasks, workers, _start, (settings, folders))


def in_processes(
    measure: Callable[[Any], Any],
    tasks: Sequence[Any],
    workers: int,
    start: Callable[..., None],
    settings: Sequence[Any],
) -> Iterator[Any]:
    """What ``measure`` makes of every task, in any order, in processes that ``start(*settings)`` has made ready."""
    # one thread each: two that spin cost more than they bring
    os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"})
    with get_context("spawn").Pool(min(workers, len(tasks)), start, tuple(settings)) as pool:
        yield from pool.imap_unordered(measure, tasks)
        pool.close()
        pool.join()


_bench: Bench | None = None  # of a worker process


def _start(settings: Settings, folders: Sequence[str]) -> None:
    global _bench
    torch.set_num_threads(1)
    _bench = Bench(settings, folders)


def _measure(task: Task) -> list[Record]:
    assert _bench is not None
    return _bench.measure(*task)
