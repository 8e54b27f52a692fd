"""One video through all steps. Read this first: ``annotate`` is the whole method."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kframes_plugin.errors import VideoError
from kframes_training.rows import (
    Row,
    error_row,
    merge_scenes,
    query_row,
    spans_in,
    stage1_rows,
    stage2_rows,
    video_row,
)
from kframes_training.sources.peakclips import steps
from kframes_training.sources.peakclips.annotator import Annotator
from kframes_training.sources.peakclips.cache import write_atomically
from kframes_training.sources.peakclips.media import Source
from kframes_training.sources.peakclips.prompts import GIVEN
from kframes_training.sources.peakclips.refinement import refine
from kframes_training.sources.peakclips.settings import Settings
from kframes_training.sources.peakclips.similarity import Similarity
from kframes_training.sources.peakclips.steps import Outcome

TABLES = ("videos", "queries", "questions", "stage1", "stage2", "errors")
STEPS = ("scenes", "captions", "chapters", "video", "queries", "relevance", "similarities", "questions")
VERSION = 1  # of the steps; raised when the same inputs would give other rows

Tables = dict[str, list[Row]]


@dataclass(frozen=True)
class Tools:
    """What annotates.

    Attributes:
        annotator: describes and judges.
        similarity: refines the scores, or None.
        folder: where every step's rows are kept, one file a video and step.
        redo: steps whose rows are made anew. What follows from other rows than before is made anew in any case.
    """

    annotator: Annotator
    folder: Path
    similarity: Similarity | None = None
    redo: frozenset[str] = field(default_factory=frozenset)


async def annotate(source: Source, given: Sequence[Row], tools: Tools, settings: Settings) -> Tables:
    """All rows of a video; a file that cannot be read gives one row of errors.

    Args:
        source: the file.
        given: queries to label, {"query", "kind"}; none: the annotator writes some.
        tools: annotator, similarity, folder.
        settings: parameters.

    Raises:
        AnnotatorError: the annotator cannot be had. What was done is kept.
    """
    keep, by = _Kept(tools.folder, source, tools.redo), tools.annotator.id
    try:
        found = await _scenes(keep, source, settings)
        looked = [by, settings.frames_per_scene, settings.frame_size, found]
        told = await keep("captions", looked, lambda: steps.captions(source, found, tools.annotator, settings))
        grouped = [by, settings.grouping, settings.chapter_threshold, found, told]
        chapters = await keep(
            "chapters", grouped, lambda: steps.chapters(source, found, told, tools.annotator, settings)
        )
        whole = await keep("video", [by, chapters], lambda: steps.video_caption(source, chapters, tools.annotator))
        caption = whole[0]["caption"]
        asked = list(given)
        if not asked:
            inputs = [by, settings.queries_per_video, caption, told]
            asked = await keep(
                "queries", inputs, lambda: steps.queries(source, caption, told, tools.annotator, settings)
            )
        judged = await keep(
            "relevance",
            [by, settings.scenes_a_call, told, asked],
            lambda: steps.relevance(source, told, asked, tools.annotator, settings),
        )
        alike = await _similarities(keep, source, found, judged, tools, settings)
        posed = await keep(
            "questions",
            [by, settings.questions_per_video, caption, told],
            lambda: steps.questions(source, caption, told, tools.annotator, settings),
        )
    except VideoError as error:
        return broken(source, str(error))
    return make_tables(source, found, told, chapters, caption, judged, alike, posed, keep.errors, settings)


async def find_scenes_once(source: Source, folder: Path, settings: Settings) -> list[Row]:
    """The rows of the first step alone, found or taken from its file in ``folder``. Raises VideoError."""
    return await _scenes(_Kept(folder, source), source, settings)


async def _scenes(keep: _Kept, source: Source, settings: Settings) -> list[Row]:
    return await keep("scenes", [settings.min_scene, settings.max_scene], lambda: steps.scenes(source, settings))


async def _similarities(
    keep: _Kept, source: Source, found: list[Row], judged: list[Row], tools: Tools, settings: Settings
) -> dict[str, list[float]]:
    """Query -> similarity of every scene, for the queries that are refined."""
    similarity = tools.similarity
    asked = [row for row in judged if row["kind"] in settings.refinement.kinds]
    if similarity is None or not asked:
        return {}
    decides = [similarity.id, settings.frames_per_scene, settings.frame_size, found, [row["query"] for row in asked]]
    rows = await keep("similarities", decides, lambda: steps.similarities(source, found, asked, similarity, settings))
    return {row["query"]: row["similarities"] for row in rows}


class _Kept:
    """Runs a step, or takes its rows from its file where they were made from the same."""

    def __init__(self, folder: Path, source: Source, redo: frozenset[str] = frozenset()) -> None:
        self.folder, self.source, self.redo = folder, source, redo
        self.errors: list[Row] = []

    async def __call__(self, step: str, decides: Any, work: Callable[[], Awaitable[Outcome]]) -> list[Row]:
        path = self.folder / self.source.video_id / f"{step}.json"
        about = json.dumps([VERSION, step, self.source.sha256, self.source.video_id, decides], sort_keys=True)
        key = hashlib.sha256(about.encode()).hexdigest()
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if kept.get("key") != key or step in self.redo:
            outcome = await work()
            kept = {"key": key, **asdict(outcome)}
            if outcome.is_final:
                write_atomically(path, kept)
        self.errors += kept["errors"]
        rows: list[Row] = kept["rows"]
        return rows


def make_tables(
    source: Source,
    found: list[Row],
    told: list[Row],
    chapters: list[Row],
    caption: str,
    judged: list[Row],
    alike: dict[str, list[float]],
    posed: list[Row],
    errors: list[Row],
    settings: Settings,
) -> Tables:
    """The steps' rows as tables: scores refined, clips made, training rows written."""
    about = {"file": source.file, "bytes": source.bytes, "sha256": source.sha256, "licence": source.licence}
    video = video_row(source.video_id, found[0]["duration"], caption, chapters, told) | about
    rule, queries = settings.refinement, []
    for row in judged:
        similarities = alike.get(row["query"], [])
        scores = refine(row["scores"], similarities, rule)
        clips = merge_scenes(spans_in(told), scores, row["reasons"], p1_score=rule.p1_score, p2_score=rule.p2_score)
        line = query_row(source.video_id, row["query"], row.get("kind", GIVEN), scores, clips)
        queries.append(line | {"caption_scores": row["scores"], "similarities": similarities})
    return {
        "videos": [video],
        "queries": queries,
        "questions": posed,
        "stage1": stage1_rows(video, queries),
        "stage2": stage2_rows(video, queries),
        "errors": errors,
    }


def broken(source: Source, message: str) -> Tables:
    """The tables of a video that cannot be annotated: one row of errors."""
    nothing: Tables = {table: [] for table in TABLES}
    return nothing | {"errors": [error_row(source.video_id, source.file, "scenes", "video", "video", message)]}
