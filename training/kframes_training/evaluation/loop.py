"""The one measuring loop: every video is opened once, every selector is asked all its queries, rows go to the store.

A task is one video. With several workers every process loads the plan itself (spawn, one thread each); rows always
return to this process, which alone writes the store. What raised is a row with "error", and is tried again next time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from kframes_plugin.errors import VideoError
from kframes_plugin.types import Clip, Frame
from kframes_plugin.video import OpenVideo
from kframes_training.evaluation.answerers import Answer, Answerer
from kframes_training.evaluation.candidates import MeasuredVideo
from kframes_training.evaluation.processes import run_in_processes
from kframes_training.evaluation.scorers import FrameScores, Scorer, score_items
from kframes_training.evaluation.selectors import NamedSelector, Pool
from kframes_training.evaluation.store import ArrayStore, Row, Store, make_key
from kframes_training.sources.datasets import Item

ANSWER_SIZE = 448  # long side of the frames that an answerer sees, pixels
TOGETHER = 32  # queries asked at once: what a kill can lose


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        selectors: in the order of the tables.
        ks: budgets, rising.
        scorer: of the selectors over scores, or None.
        answerer: or None: selections alone.
        answer_size: long side of the frames the answerer sees, pixels.
        answer_pool: the pool whose frames it sees.
        together: queries asked at once, >= 1.
    """

    selectors: Sequence[NamedSelector]
    ks: Sequence[int]
    scorer: Scorer | None = None
    answerer: Answerer | None = None
    answer_size: int = ANSWER_SIZE
    answer_pool: Pool = "free"
    together: int = TOGETHER


@dataclass(frozen=True)
class Outcome:
    """What was measured.

    Attributes:
        rows: one an (item, selector): "item", "selector", "frames", "clips", "duration", "notes", "cost", "answers"; or
            "error". In the order of items and selectors.
        unreadable: videos that could not be read, with the reason; they have no rows.
        made, kept: rows and answers made in this run, and those that were there already.
    """

    rows: list[Row]
    unreadable: dict[str, str]
    made: int
    kept: int


@dataclass
class Task:
    """One video with its items, and the keys of the rows that the store has."""

    video: Path
    items: Sequence[Item]
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def identity(self) -> list[Any]:
        """Of the video file."""
        return [self.video.name, self.video.stat().st_size]


def run(
    items: Sequence[Item],
    load: Callable[[], Plan],
    store: Store,
    *,
    plan: Plan | None = None,
    workers: int = 1,
    progress: bool = True,
) -> Outcome:
    """Measure everything that the store does not have.

    Args:
        items: questions whose videos are there.
        load: gives the plan; it can be pickled where there are several workers.
        store: of what was measured before; it gets the rest.
        plan: what ``load`` gives, where it is loaded already.
        workers: processes, >= 1.
        progress: show a bar.
    """
    plan = load() if plan is None else plan
    tasks = {video: Task(video, some) for video, some in group_by_video(items)}
    for task in tasks.values():
        for list_keys in (list_selection_keys, list_answer_keys):  # answers' keys follow from rows that are there
            task.rows |= {key: row for key in list_keys(plan, task) if (row := store.get(key)) is not None}
    kept = sum("error" not in row for task in tasks.values() for row in task.rows.values())
    made, unreadable = 0, {}
    todo = [task for task in tasks.values() if _is_missing(plan, task)]
    with tqdm(
        total=len(tasks),
        initial=len(tasks) - len(todo),
        desc="videos",
        unit="video",
        file=sys.stderr,
        disable=None if progress else True,
    ) as bar:
        for video, rows, error in _measure_all(todo, plan, load, store.arrays.folder, workers):
            if error is not None:
                unreadable[str(video)] = error
            store.add(rows)
            made += len(rows)
            tasks[video].rows |= {row["key"]: row for row in rows}
            bar.update(not rows)
    rows = [row for task in tasks.values() if str(task.video) not in unreadable for row in collect_rows(plan, task)]
    return Outcome(rows, unreadable, made, kept)


def group_by_video(items: Iterable[Item]) -> list[tuple[Path, list[Item]]]:
    """Items grouped by their video, both in the order given."""
    found: dict[Path, list[Item]] = {}
    for item in items:
        found.setdefault(item.video, []).append(item)
    return list(found.items())


def keep_shard(items: Sequence[Item], shard: str) -> list[Item]:
    """The items of one shard: every n-th video by name.

    Args:
        items: all items.
        shard: "i/n" with 1 <= i <= n.

    Raises:
        ValueError: it is not of that form.
    """
    first, slash, last = shard.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise ValueError(f"a shard is i/n with 1 <= i <= n, such as 2/8; got {shard!r}")
    names = sorted({item.video.name for item in items})
    mine = set(names[int(first) - 1 :: int(last)])
    return [item for item in items if item.video.name in mine]


def selection_key(selector: NamedSelector, item: Item, identity: Sequence[Any]) -> str:
    """Of a selector's row for an item; budgets are not part of it, a row holds all that were asked for."""
    truth = [item.scenes, item.points] if selector.reads_truth else None
    by_item = item.id if selector.reads_scores or selector.reads_truth else None
    return make_key("selection", identity, item.query, selector.settings, truth, by_item)


def answer_key(plan: Plan, item: Item, row: Row, k: int, identity: Sequence[Any]) -> str:
    """Of the answer to an item from a row's k frames."""
    assert plan.answerer is not None
    shown = row["clips"] if plan.answerer.settings.get("style") == "clips" else ()
    frames = row["frames"][plan.answer_pool][str(k)]
    asked = [item.question, item.options, item.subtitles, frames, shown, plan.answer_size]
    return make_key("answer", identity, asked, plan.answerer.settings)


def list_selection_keys(plan: Plan, task: Task) -> list[str]:
    """The keys of all selections of a task."""
    identity = task.identity
    return [selection_key(selector, item, identity) for item in task.items for selector in plan.selectors]


def list_answer_keys(plan: Plan, task: Task) -> list[str]:
    """The keys of all answers to selections that are there."""
    if plan.answerer is None:
        return []
    identity, keys = task.identity, []
    for item in filter(_is_question, task.items):
        for selector in plan.selectors:
            row = task.rows.get(selection_key(selector, item, identity))
            if row is not None and _has_budgets(row, plan.ks):
                keys += [answer_key(plan, item, row, k, identity) for k in plan.ks]
    return keys


def _is_question(item: Item) -> bool:
    return bool(item.options) and item.answer is not None


def _is_missing(plan: Plan, task: Task) -> bool:
    selected = all(_has_budgets(task.rows.get(key), plan.ks) for key in list_selection_keys(plan, task))
    return not selected or any(key not in task.rows for key in list_answer_keys(plan, task))


def _has_budgets(row: Row | None, ks: Sequence[int]) -> bool:
    return row is not None and "error" not in row and all(str(k) in row["frames"]["free"] for k in ks)


# ------------------------------------------------------------------------------------------------------- one video

Measured = tuple[Path, list[Row], str | None]  # video, rows, why it could not be read


class Bench:
    """Measures one video after the other with a loaded plan.

    Args:
        plan: what is measured.
        arrays: where scores are kept.
    """

    def __init__(self, plan: Plan, arrays: ArrayStore) -> None:
        self.plan = plan
        self.arrays = arrays

    def measure(self, task: Task) -> Iterator[Measured]:
        """Rows as they are made; at the end an empty list, with the reason where the video could not be read."""
        try:
            with OpenVideo(task.video) as opened:
                video = MeasuredVideo(opened)
                for selector in self.plan.selectors:
                    for start in range(0, len(task.items), self.plan.together):
                        rows = self._select(selector, video, task, task.items[start : start + self.plan.together])
                        task.rows |= {row["key"]: row for row in rows}
                        if rows:
                            yield task.video, rows, None
                yield from self._answer_all(video, task)
            yield task.video, [], None
        except VideoError as error:
            yield task.video, [], str(error)

    def _select(self, selector: NamedSelector, video: MeasuredVideo, task: Task, items: Sequence[Item]) -> list[Row]:
        """The rows of the items that have none, or not for every k."""
        keys = {selection_key(selector, item, task.identity): item for item in items}
        missing = {key: item for key, item in keys.items() if not _has_budgets(task.rows.get(key), self.plan.ks)}
        if not missing:
            return []
        made = self._choose(selector, video, task, list(missing.values()))
        return [self._merge(task.rows.get(key), {"key": key, **row}) for key, row in zip(missing, made, strict=True)]

    def _choose(self, selector: NamedSelector, video: MeasuredVideo, task: Task, items: Sequence[Item]) -> list[Row]:
        about = {"selector": selector.name, "duration": video.video.duration}
        try:
            scores: list[FrameScores] = []
            if selector.reads_scores:
                assert self.plan.scorer is not None
                scores = score_items(self.plan.scorer, video, items, task.identity, self.arrays)
            return [about | one.to_row() for one in selector.choose(video, items, self.plan.ks, scores)]
        except VideoError:
            raise
        except Exception as error:  # noqa: BLE001 - a selector of the user's own may raise anything
            if len(items) > 1:  # which one was it?
                return [row for item in items for row in self._choose(selector, video, task, [item])]
            return [about | {"error": f"{type(error).__name__}: {error}"}]

    def _merge(self, before: Row | None, row: Row) -> Row:
        """A row with the budgets of an earlier one; the first cost stands."""
        if before is None or "error" in before or "error" in row:
            return row
        frames = {pool: {**before["frames"][pool], **by_k} for pool, by_k in row["frames"].items()}
        return row | {"frames": frames, "cost": before["cost"]}

    def _answer_all(self, video: MeasuredVideo, task: Task) -> Iterator[Measured]:
        plan = self.plan
        if plan.answerer is None:
            return
        for item in task.items:
            if not _is_question(item):
                continue
            asked: dict[str, tuple[Row, int]] = {}
            for selector in plan.selectors:
                row = task.rows[selection_key(selector, item, task.identity)]
                if "error" not in row:
                    asked |= {answer_key(plan, item, row, k, task.identity): (row, k) for k in plan.ks}
            missing = {key: one for key, one in asked.items() if key not in task.rows}
            if rows := self._answer(video, item, missing):
                task.rows |= {row["key"]: row for row in rows}
                yield task.video, rows, None

    def _answer(self, video: MeasuredVideo, item: Item, asked: Mapping[str, tuple[Row, int]]) -> list[Row]:
        """Answers of one item; all its frames are decoded in one pass."""
        assert self.plan.answerer is not None
        pool, size = self.plan.answer_pool, self.plan.answer_size
        chosen = {key: sorted(set(row["frames"][pool][str(k)])) for key, (row, k) in asked.items()}
        times = sorted({time for some in chosen.values() for time in some})
        shown: dict[float, Frame] = {}
        if times:
            shown = dict(zip(times, video.video.frames_at(times, size=size), strict=True))
        rows = []
        for key, (row, _) in asked.items():
            clips = [Clip(**clip) for clip in (row["clips"] or {}).get(pool, ())]
            answer = Answer(None)  # a faithful selector that chose nothing has no answer, and counts as wrong
            if chosen[key]:
                frames = [shown[time] for time in chosen[key]]
                answer = self.plan.answerer(item, frames, clips, row["duration"])
            rows.append({"key": key, **asdict(answer), "chances": list(answer.chances)})
        return rows


def collect_rows(plan: Plan, task: Task) -> Iterator[Row]:
    """The rows of a task in the order of items and selectors, each with its item and its answers."""
    identity = task.identity
    for item in task.items:
        for selector in plan.selectors:
            row = task.rows[selection_key(selector, item, identity)]
            answers: dict[str, Row] = {}
            if plan.answerer is not None and _is_question(item) and "error" not in row:
                keys = {str(k): answer_key(plan, item, row, k, identity) for k in plan.ks}
                answers = {k: task.rows[key] for k, key in keys.items()}
            # a row may be another selector's of the same settings, or have budgets that were not asked for
            yield {**row, "selector": selector.name, "item": item, "answers": answers}


# ------------------------------------------------------------------------------------------------- several processes

_bench: Bench | None = None  # of a worker process


def _measure_all(
    tasks: Sequence[Task], plan: Plan, load: Callable[[], Plan], arrays: Path, workers: int
) -> Iterator[Measured]:
    if workers == 1 or len(tasks) < 2:
        bench = Bench(plan, ArrayStore(arrays))
        for task in tasks:
            yield from bench.measure(task)
        return
    for parts in run_in_processes(_measure, tasks, workers, _start, (load, arrays)):
        yield from parts


def _start(load: Callable[[], Plan], arrays: Path) -> None:
    global _bench
    import torch

    torch.set_num_threads(1)
    _bench = Bench(load(), ArrayStore(arrays))


def _measure(task: Task) -> list[Measured]:
    assert _bench is not None
    return list(_bench.measure(task))
