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
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kframes_training.rows import Row
from kframes_training.sources.peakclips import store
from kframes_training.sources.peakclips.annotator import Annotator, AnnotatorError, LLMAnnotator, Writer
from kframes_training.sources.peakclips.cache import AnswerCache, costs, total
from kframes_training.sources.peakclips.media import Source
from kframes_training.sources.peakclips.pipeline import TABLES, Tables, Tools, annotate
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.peakclips.similarity import Similarity, similarity_by_name

ANNOTATORS = "oracle, oracle:NOISE, http(s)://HOST/v1#MODEL, or local:MODEL (a hub id or directory)"
Progress = Callable[[int, int], None]


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

    def __call__(self, source: Source) -> Tables:
        """All rows of a video."""
        return self._runner.run(self._one(source))

    def several(self, sources: Sequence[Source], done: Callable[[], None]) -> list[Tables]:
        """The rows of several videos, which are under way together, so that a server always has enough to do."""

        async def all_of_them() -> list[Tables]:
            turn = asyncio.Semaphore(max(2, self.plan.concurrency // 2))

            async def one(source: Source) -> Tables:
                async with turn:
                    tables = await self._one(source)
                done()
                return tables

            return await asyncio.gather(*map(one, sources))

        return self._runner.run(all_of_them())

    async def _one(self, source: Source) -> Tables:
        given = self.plan.given.get(source.video_id, ())
        return await annotate(source, given, self.tools, self.plan.settings)


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
    tell = progress if progress is not None else lambda done, of: None
    if engine == "ray" or workers > 1:
        parts = list(_told(_run_apart(sources, plan, engine, workers), len(sources), tell))
    else:
        with closing(VideoWorker(plan, annotator, similarity)) as worker:
            parts = _in_this_process(sources, worker, tell)
    tables = merge_tables(sources, parts)
    log = costs(plan.cache, *prices)
    write_cost_log(plan.work / "cost.jsonl", log)
    about = {
        "annotator": annotator.id if annotator is not None else plan.annotator,
        "similarity": similarity.id if similarity is not None else plan.similarity,
        "seed": plan.seed,
        "settings": asdict(plan.settings),
        "cost": total(log),
        "kframes": importlib.metadata.version("kframes"),
    }
    store.write(out, tables, about, split)
    return tables


def merge_tables(sources: Sequence[Source], parts: Iterable[tuple[str, Tables]]) -> Tables:
    """The tables of all videos as one, in the order of the sources."""
    found = dict(parts)
    return {table: [row for source in sources for row in found[source.video_id][table]] for table in TABLES}


def write_cost_log(path: Path, lines: Sequence[Row]) -> None:
    """One JSON object a line and answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _in_this_process(sources: Sequence[Source], worker: VideoWorker, tell: Progress) -> list[tuple[str, Tables]]:
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        tell(done, len(sources))

    tables = worker.several(sources, one_more)
    return [(source.video_id, part) for source, part in zip(sources, tables, strict=True)]


_worker: VideoWorker | None = None  # of this process


def _start(plan: Plan) -> None:
    global _worker
    _worker = VideoWorker(plan)


def _annotate(source: Source) -> tuple[str, Tables]:
    assert _worker is not None, "the pool's initializer has run"
    return source.video_id, _worker(source)


def _in_processes(sources: Sequence[Source], plan: Plan, workers: int) -> Iterator[tuple[str, Tables]]:
    context = multiprocessing.get_context("spawn")  # a forked child hangs in torch's and libav's threads
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(plan,)) as pool:
        yield from pool.map(_annotate, sources)


def _run_apart(sources: Sequence[Source], plan: Plan, engine: str, workers: int) -> Iterable[tuple[str, Tables]]:
    if engine != "ray":
        return _in_processes(sources, plan, workers)
    try:
        from kframes_training.sources.peakclips.ray_engine import run_on_ray
    except ImportError as error:
        raise AnnotatorError(f"cannot run on Ray: {error}; run: pip install 'kframes[ray]'") from error
    return run_on_ray(sources, plan, workers)


def _told(parts: Iterable[tuple[str, Tables]], of: int, tell: Progress) -> Iterator[tuple[str, Tables]]:
    for done, part in enumerate(parts, 1):
        tell(done, of)
        yield part
