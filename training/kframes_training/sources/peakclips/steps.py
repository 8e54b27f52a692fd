"""The steps of the pipeline: each makes plain rows of plain rows, with an annotator's help, and can be redone alone.

A step never fails for one bad answer: its row is left out or empty, and the error goes into a row of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from kframes_plugin.types import Frame, Span
from kframes_training.rows import Row, caption_row, error_row, qa_row, spans_in
from kframes_training.sources.peakclips import prompts
from kframes_training.sources.peakclips.annotator import Annotator, ItemError, UnansweredError
from kframes_training.sources.peakclips.answers import Caption, Queries, Questions, Scores
from kframes_training.sources.peakclips.chapters import group
from kframes_training.sources.peakclips.media import Source, decode_frames, find_scenes
from kframes_training.sources.peakclips.settings import Settings, choose_kinds
from kframes_training.sources.peakclips.similarity import Similarity

FRAMES_AT_ONCE = 64  # held in memory, and shown to a similarity together


@dataclass
class Outcome:
    """What a step made: rows, and the errors it met (rows of ``errors``)."""

    rows: list[Row] = field(default_factory=list)
    errors: list[Row] = field(default_factory=list)

    @property
    def is_final(self) -> bool:
        """Whether another build would find no more: nothing is missing that a server may yet answer."""
        return all(row["kind"] != "server" for row in self.errors)


class _Items:
    """Asks for the items of a step and writes down those that could not be had."""

    def __init__(self, source: Source, step: str, outcome: Outcome) -> None:
        self.source, self.step, self.outcome = source, step, outcome

    async def get(self, item: str, answer: Awaitable[BaseModel]) -> Any:
        try:
            return await answer
        except ItemError as error:
            kind = "server" if isinstance(error, UnansweredError) else "answer"
            row = error_row(self.source.video_id, self.source.file, self.step, item, kind, str(error), error.answer)
            self.outcome.errors.append(row)
            return None


async def scenes(source: Source, settings: Settings) -> Outcome:
    """video -> [{"start", "end", "duration" of the video, "colours"}]. Raises VideoError."""
    duration, spans, colours = await asyncio.to_thread(find_scenes, source.path, settings.min_scene, settings.max_scene)
    rows = zip(spans, colours, strict=True)
    return Outcome([{"start": a, "end": b, "duration": duration, "colours": shares} for (a, b), shares in rows])


async def captions(source: Source, found: Sequence[Row], annotator: Annotator, settings: Settings) -> Outcome:
    """scenes -> [{"start", "end", "caption"}]; the caption is "" where there is none to be had."""
    outcome, spans = Outcome(), spans_in(found)
    items = _Items(source, "captions", outcome)

    async def one(number: int, span: Span, frames: Sequence[Frame]) -> Row:
        prompt = prompts.scene(source.video_id, span, len(frames))
        answer: Caption | None = await items.get(f"scene {number}", annotator.describe(frames, prompt))
        return caption_row(*span, answer.caption if answer else "")

    for first, part in _parts(spans, settings):
        frames = await asyncio.to_thread(
            decode_frames, source.path, part, settings.frames_per_scene, settings.frame_size
        )
        asked = [one(first + i + 1, span, shown) for i, (span, shown) in enumerate(zip(part, frames, strict=True))]
        outcome.rows += await asyncio.gather(*asked)
    return _ordered(outcome)


async def chapters(
    source: Source, found: Sequence[Row], told: Sequence[Row], annotator: Annotator, settings: Settings
) -> Outcome:
    """scenes and their captions -> [{"start", "end", "caption"}], chapters."""
    outcome = Outcome()
    items = _Items(source, "chapters", outcome)
    texts, colours = [row["caption"] for row in told], [row["colours"] for row in found]

    async def one(number: int, members: list[int]) -> Row:
        spans, lines = spans_in([told[i] for i in members]), [texts[i] for i in members]
        start, end = spans[0][0], spans[-1][1]
        if not any(lines):
            return caption_row(start, end, "")  # its scenes' errors are written down already
        prompt = prompts.chapter(source.video_id, spans, lines)
        answer: Caption | None = await items.get(f"chapter {number}", annotator.judge(prompt))
        return caption_row(start, end, answer.caption if answer else "")

    groups = group(texts, colours, settings.grouping, settings.chapter_threshold)
    outcome.rows += await asyncio.gather(*(one(number, members) for number, members in enumerate(groups, 1)))
    return _ordered(outcome)


async def video_caption(source: Source, found: Sequence[Row], annotator: Annotator) -> Outcome:
    """chapters -> [{"caption"}], one."""
    outcome = Outcome()
    texts = [row["caption"] for row in found]
    answer: Caption | None = None
    if any(texts):
        prompt = prompts.video(source.video_id, spans_in(found), texts)
        answer = await _Items(source, "video", outcome).get("caption", annotator.judge(prompt))
    outcome.rows.append({"caption": answer.caption if answer else ""})
    return outcome


async def queries(
    source: Source, caption: str, told: Sequence[Row], annotator: Annotator, settings: Settings
) -> Outcome:
    """captions -> [{"query", "kind"}], written by the annotator."""
    outcome = Outcome()
    kinds = choose_kinds(source.video_id, settings.queries_per_video)
    texts = [row["caption"] for row in told]
    if kinds and any(texts):
        prompt = prompts.queries(source.video_id, caption, spans_in(told), texts, kinds)
        answer: Queries | None = await _Items(source, "queries", outcome).get("queries", annotator.judge(prompt))
        written = {item.query: item.kind for item in reversed(answer.queries)} if answer else {}
        outcome.rows = [{"query": query, "kind": kind} for query, kind in reversed(written.items())]
    return outcome


async def relevance(
    source: Source, told: Sequence[Row], asked: Sequence[Row], annotator: Annotator, settings: Settings
) -> Outcome:
    """captions and queries -> [{"query", "kind", "scores", "reasons"}]; queries that lack a score are left out."""
    outcome = Outcome()
    items = _Items(source, "relevance", outcome)
    spans, texts = spans_in(told), [row["caption"] for row in told]

    async def one(query: Row) -> Row | None:
        found: list[Any] = []
        for first in range(0, len(spans), settings.scenes_a_call):
            count = min(settings.scenes_a_call, len(spans) - first)
            prompt = prompts.relevance(source.video_id, query["query"], query["kind"], spans, texts, first, count)
            answer: Scores | None = await items.get(query["query"], annotator.judge(prompt))
            if answer is None:
                return None
            found += sorted(answer.scores, key=lambda item: item.scene)
        return {**query, "scores": [item.score for item in found], "reasons": [item.reason for item in found]}

    rows = await asyncio.gather(*(one(query) for query in asked))
    outcome.rows = [row for row in rows if row is not None]
    return _ordered(outcome)


async def similarities(
    source: Source, told: Sequence[Row], asked: Sequence[Row], similarity: Similarity, settings: Settings
) -> Outcome:
    """scenes and queries -> [{"query", "similarities": [a scene]}]: that of the scene's best frame."""
    outcome = Outcome([{"query": row["query"], "similarities": []} for row in asked])
    texts, count = [row["query"] for row in asked], settings.frames_per_scene
    if not texts:
        return outcome
    for _, part in _parts(spans_in(told), settings):
        frames = await asyncio.to_thread(decode_frames, source.path, part, count, settings.frame_size)
        scores = await asyncio.to_thread(similarity, [frame for shown in frames for frame in shown], texts)
        best = scores.reshape(len(part), count, len(texts)).max(axis=1)
        for row, column in zip(outcome.rows, best.T.tolist(), strict=True):
            row["similarities"] += [round(value, 5) for value in column]
    return outcome


async def questions(
    source: Source, caption: str, told: Sequence[Row], annotator: Annotator, settings: Settings
) -> Outcome:
    """captions -> rows of questions."""
    outcome = Outcome()
    spans, texts = spans_in(told), [row["caption"] for row in told]
    if settings.questions_per_video and any(texts):
        prompt = prompts.questions(source.video_id, caption, spans, texts, settings.questions_per_video)
        answer: Questions | None = await _Items(source, "questions", outcome).get("questions", annotator.judge(prompt))
        for item in answer.questions if answer else ():
            evidence = [spans[number - 1] for number in sorted(set(item.scenes))]
            outcome.rows.append(qa_row(source.video_id, item.question, item.kind, item.options, item.answer, evidence))
    return outcome


def _parts(spans: Sequence[Span], settings: Settings) -> list[tuple[int, Sequence[Span]]]:
    """Scenes in runs whose frames are held together: (index of the first, spans)."""
    size = max(1, FRAMES_AT_ONCE // settings.frames_per_scene)
    return [(first, spans[first : first + size]) for first in range(0, len(spans), size)]


def _ordered(outcome: Outcome) -> Outcome:
    """Errors in one order, whichever answer came first."""
    outcome.errors.sort(key=lambda row: (row["item"], row["message"]))
    return outcome
