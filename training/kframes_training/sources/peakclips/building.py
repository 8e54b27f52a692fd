"""Many videos -> a data set: on this machine, in one process or several, or on Ray.

Every engine runs the same :class:`VideoWorker`, and the tables are put together in the order of the videos' ids, so the
rows do not depend on the engine, on the number of workers, or on how often a build was killed on its way.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kframes_training.rows import Row
from kframes_training.sources.peakclips import store
from kframes_training.sources.peakclips.annotator import Annotator, AnnotatorError, LLMAnnotator, Writer
from kframes_training.sources.peakclips.cache import AnswerCache, costs, total
from kframes_training.sources.peakclips.media import Source
from kframes_training.sources.peakclips.pipeline import TABLES, Tables, Tools, annotate, broken
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.peakclips.similarity import Similarity, similarity_by_name

ANNOTATORS = "oracle, oracle:NOISE, http(s)://HOST/v1#MODEL, or local:MODEL (a hub id or directory)"
Progress = Callable[[int, int], None]
Part = tuple[str, Tables]  # a video's id, and its rows
TOGETHER = 64  # videos that a worker is given at once


@dataclass(frozen=True)
class Plan:
    """What every worker needs to know; plain values, so that it can be sent anywhere.

    Attributes:
        annotator: one of ANNOTATORS.
        work: folder of answers and steps; all workers must see the same one.
        similarity: "none" or as :func:`similarity_by_name`.
        settings: parameters of the rows.
        given: queries by video id, {"query", "kind"}; the annotator writes those of the other videos.
        seed: of the annotator: another one asks everything anew.
        concurrency: requests under way together, in one worker, >= 1.
        device: for local models.
        redo: steps to be made anew.
        model_options: of the writer, as ``max_tokens`` or ``json_schema``.
    """

    annotator: str
    work: Path
    similarity: str = "none"
    settings: Settings = field(default_factory=Settings)
    given: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    seed: int = 0
    concurrency: int = 8
    device: str | None = None
    redo: frozenset[str] = frozenset()
    model_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cache(self) -> AnswerCache:
        """The answers that were paid for."""
        return AnswerCache(self.work / "answers")


class VideoWorker:
    """Annotates one video after another; what is expensive to load is loaded once.

    Args:
        plan: what to do.
        annotator, similarity: used instead of those that the plan names.

    Raises:
        AnnotatorError, SelectorError: something cannot be loaded.
        ValueError: an unknown name.
    """

    def __init__(self, plan: Plan, annotator: Annotator | None = None, similarity: Similarity | None = None) -> None:
        self.plan = plan
        if similarity is None:
            similarity = similarity_by_name(plan.similarity, plan.device)
        if annotator is None:
            annotator = load_annotator(plan)
        self.tools = Tools(annotator, plan.work / "steps", similarity, plan.redo)
        self._runner = asyncio.Runner()

    def close(self) -> None:
        """Let go of connections; the annotator's ``aclose()``, where it has one, is awaited."""
        if aclose := getattr(self.tools.annotator, "aclose", None):
            self._runner.run(aclose())
        self._runner.close()

    def __call__(self, sources: Sequence[Source], done: Callable[[Part], None]) -> None:
        """Annotate videos, as many together as keep the annotator busy; ``done`` is called with the rows of each.

        A video at which a step breaks costs its own row of errors.
        """

        async def all_of_them() -> None:
            turn = asyncio.Semaphore(2 * self.plan.concurrency)  # some wait for their frames

            async def one(source: Source) -> None:
                async with turn:
                    done((source.video_id, await self._one(source)))

            under_way = [asyncio.create_task(one(source)) for source in sources]
            try:
                await asyncio.gather(*under_way)
            finally:  # where one ends the build, the others ask for nothing more
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)

        self._runner.run(all_of_them())

    async def _one(self, source: Source) -> Tables:
        given = self.plan.given.get(source.video_id, ())
        try:
            whole = await asyncio.to_thread(source.with_digest)
            return await annotate(whole, given, self.tools, self.plan.settings)
        except AnnotatorError:
            raise
        except Exception as error:  # noqa: BLE001 - one video in thousands must not end a build of days
            return broken(source, f"{type(error).__name__}: {error}")


def load_annotator(plan: Plan) -> Annotator:
    """Load the annotator that a plan names.

    Raises:
        ValueError: an unknown name.
        AnnotatorError: it cannot be loaded.
    """
    kind, _, rest = plan.annotator.partition(":")
    if kind == "oracle":
        from kframes_training.sources.peakclips.oracle import SynthOracle

        return SynthOracle(float(rest) if rest else 0.0, plan.seed)
    if kind in ("http", "https"):
        try:
            from kframes_training.sources.peakclips.openai_writer import OpenAIWriter
        except ImportError as error:
            raise AnnotatorError(f"cannot ask a server: {error}; run: pip install 'kframes[annotate]'") from error
        options = {"concurrency": plan.concurrency, "seed": plan.seed, **plan.model_options}
        writer: Writer = OpenAIWriter(plan.annotator, **options)
    elif kind == "local" and rest:
        from kframes_training.sources.peakclips.local_writer import LocalWriter

        writer = LocalWriter(rest, device=plan.device, seed=plan.seed, **plan.model_options)
    else:
        raise ValueError(f"annotator must be {ANNOTATORS}; got {plan.annotator!r}")
    return LLMAnnotator(writer, plan.cache)


def build(
    sources: Sequence[Source],
    out: Path,
    plan: Plan,
    *,
    engine: str = "local",
    workers: int = 1,
    split: str = "train",
    prices: tuple[float, float] = (0.0, 0.0),
    progress: Progress | None = None,
    annotator: Annotator | None = None,
    similarity: Similarity | None = None,
) -> Tables:
    """Annotate videos and write the data set. Run again after a stop: it goes on from where it was.

    Args:
        sources: the videos.
        out: folder of the data set.
        plan: what to do.
        engine: "local", or "ray": the cluster that RAY_ADDRESS names, or one started on this machine.
        workers: processes (local) or actors (Ray), >= 1; each loads its own models.
        split: of the data set.
        prices: of a million tokens read, and written; only for the log.
        progress: called with (videos done, videos).
        annotator, similarity: objects of your own instead of names; for one local worker.

    Returns:
        The rows by table.

    Raises:
        AnnotatorError: the annotator cannot be had (any more). What was done is kept.
        ValueError: an unknown engine, workers < 1, or own objects for other engines.
    """
    if engine not in ("local", "ray") or workers < 1:
        raise ValueError(f"engine must be local or ray, workers at least 1; got {engine!r} and {workers}")
    if (annotator is not None or similarity is not None) and (engine, workers) != ("local", 1):
        raise ValueError("an annotator or similarity of your own works with engine='local' and workers=1")
    parts: dict[str, Tables] = {}

    def collect(part: Part) -> None:
        parts.update([part])
        if progress is not None:
            progress(len(parts), len(sources))

    about = {
        "annotator": annotator.id if annotator is not None else plan.annotator,
        "similarity": similarity.id if similarity is not None else plan.similarity,
    }
    try:
        if engine == "ray" or workers > 1:
            for part in _run_apart(sources, plan, engine, workers):
                collect(part)
        else:
            with closing(VideoWorker(plan, annotator, similarity)) as worker:
                worker(sources, collect)
    except (AnnotatorError, BrokenExecutor, KeyboardInterrupt) as error:
        if parts:
            _write(sources, parts, out, plan, about, split, prices)
        if isinstance(error, KeyboardInterrupt):
            raise
        why = str(error) if isinstance(error, AnnotatorError) else f"a worker process died ({error})"
        kept = f"; the tables of the {len(parts)} finished videos, of {len(sources)}, are in {out}" if parts else ""
        raise AnnotatorError(f"{why}{kept}") from error
    return _write(sources, parts, out, plan, about, split, prices)


def _write(
    sources: Sequence[Source],
    parts: Mapping[str, Tables],
    out: Path,
    plan: Plan,
    used: Mapping[str, str],
    split: str,
    prices: tuple[float, float],
) -> Tables:
    """Write the data set of the videos that are finished."""
    tables = merge_tables(sources, parts)
    log = costs(plan.cache, *prices)
    write_cost_log(plan.work / "cost.jsonl", log)
    about = {
        **used,
        "seed": plan.seed,
        "settings": asdict(plan.settings),
        "cost": total(log),
        "unfinished": len(sources) - len(parts),
        "kframes": importlib.metadata.version("kframes"),
    }
    store.write(out, tables, about, split)
    return tables


def merge_tables(sources: Sequence[Source], parts: Mapping[str, Tables]) -> Tables:
    """The tables of the finished videos as one, in the order of the sources."""
    finished = [parts[source.video_id] for source in sources if source.video_id in parts]
    return {table: [row for tables in finished for row in tables[table]] for table in TABLES}


def write_cost_log(path: Path, lines: Sequence[Row]) -> None:
    """One JSON object a line and answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


_worker: VideoWorker | None = None  # of this process


def _start(plan: Plan) -> None:
    global _worker
    _worker = VideoWorker(plan)


def _annotate(sources: Sequence[Source]) -> list[Part]:
    assert _worker is not None, "the pool's initializer has run"
    parts: list[Part] = []
    _worker(sources, parts.append)
    return parts


def _in_processes(sources: Sequence[Source], plan: Plan, workers: int) -> Iterator[Part]:
    context = multiprocessing.get_context("spawn")  # a forked child hangs in torch's and libav's threads
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(plan,)) as pool:
        try:
            for done in as_completed([pool.submit(_annotate, group) for group in split_evenly(sources, workers)]):
                yield from done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def split_evenly(sources: Sequence[Source], workers: int) -> list[Sequence[Source]]:
    """The videos in groups that a worker is given at once: at most TOGETHER, and at least two groups a worker."""
    size = max(1, min(TOGETHER, len(sources) // (2 * workers)))
    return [sources[first : first + size] for first in range(0, len(sources), size)]


def _run_apart(sources: Sequence[Source], plan: Plan, engine: str, workers: int) -> Iterable[Part]:
    if engine != "ray":
        return _in_processes(sources, plan, workers)
    try:
        from kframes_training.sources.peakclips.ray_engine import run_on_ray
    except ImportError as error:
        raise AnnotatorError(f"cannot run on Ray: {error}; run: pip install 'kframes[ray]'") from error
    return run_on_ray(sources, plan, workers)
