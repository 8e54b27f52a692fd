"""The one form of the rows of training data: plain dicts of strings, numbers and lists, as parquet keeps them.

videos     {"video_id", "duration", "caption", "chapters": [{"start", "end", "caption"}], "scenes": [same],
            "file", "bytes", "sha256", "licence"}
queries    {"video_id", "query", "kind", "scores": [1..5 a scene], "clips": [{"start", "end", "priority", "reason"}],
            "caption_scores": [1..5 a scene, before refinement], "similarities": [a scene; empty without refinement]}
questions  {"video_id", "question", "kind", "options": [4], "answer": index, "evidence": [[start, end]]}
stage1     {"video_id", "duration", "task", "query", "start", "end", "clips", "answer"}; task "ground": a caption ->
            its span; "describe": a span -> its caption; "score": (span, query) -> 1 to 5
stage2     the same; task is the query's kind, "clips" the target
errors     {"video_id", "file", "step", "item", "kind", "message", "answer"}: what could not be had, and the answer;
            kind "video": it cannot be read; "server": it failed again and again; "answer": of no use, or refused

Every source makes its rows here. PeakClips fills all keys; SynthScenes the first of videos, queries and questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kframes_plugin.types import Clip, Priority, Span

P1_SCORE, P2_SCORE = 4.9, 4.3  # the paper's thresholds

Row = dict[str, Any]


def merge_scenes(
    scenes: Sequence[Span],
    scores: Sequence[float],
    reasons: Sequence[str],
    *,
    p1_score: float = P1_SCORE,
    p2_score: float = P2_SCORE,
) -> list[Clip]:
    """The clips of a query: neighbouring scenes of the same priority and reason are one clip; P1 first, then by time.

    Args:
        scenes: [start, end) of every scene, seconds, in time order.
        scores: relevance of every scene, 1 to 5.
        reasons: for every scene, may be empty.
        p1_score, p2_score: least score of a P1 and of a P2 clip.
    """
    clips: list[Clip] = []
    for (start, end), score, reason in zip(scenes, scores, reasons, strict=True):
        if score < p2_score:
            continue
        priority: Priority = "P1" if score >= p1_score else "P2"
        last = clips[-1] if clips else None
        if last and last.end == start and (last.priority, last.reason) == (priority, reason):
            clips[-1] = Clip(last.start, end, priority, reason)
        else:
            clips.append(Clip(start, end, priority, reason))
    return sorted(clips, key=lambda clip: (clip.priority, clip.start))


def caption_row(start: float, end: float, caption: str) -> Row:
    """A scene or a chapter with its caption."""
    return {"start": start, "end": end, "caption": caption}


def video_row(video_id: str, duration: float, caption: str, chapters: Sequence[Row], scenes: Sequence[Row]) -> Row:
    """The captions of a video on three levels; chapters and scenes as :func:`caption_row` makes them."""
    return {
        "video_id": video_id,
        "duration": duration,
        "caption": caption,
        "chapters": list(chapters),
        "scenes": list(scenes),
    }


def query_row(video_id: str, query: str, kind: str, scores: Sequence[float], clips: Sequence[Clip]) -> Row:
    """A query with the score of every scene and its clips."""
    return {
        "video_id": video_id,
        "query": query,
        "kind": kind,
        "scores": list(scores),
        "clips": [clip_row(clip) for clip in clips],
    }


def clip_row(clip: Clip) -> Row:
    """A clip as parquet keeps it."""
    return {"start": clip.start, "end": clip.end, "priority": clip.priority, "reason": clip.reason}


def qa_row(
    video_id: str, question: str, kind: str, options: Sequence[str], answer: int, evidence: Sequence[Span]
) -> Row:
    """A multiple-choice question with the spans that hold its answer."""
    return {
        "video_id": video_id,
        "question": question,
        "kind": kind,
        "options": list(options),
        "answer": answer,
        "evidence": [list(span) for span in evidence],
    }


def clips_in(row: Mapping[str, Any]) -> list[Clip]:
    """The clips of a row."""
    return [Clip(clip["start"], clip["end"], clip["priority"], clip["reason"]) for clip in row["clips"]]


def spans_in(rows: Sequence[Mapping[str, Any]]) -> list[Span]:
    """(start, end) of scenes, chapters or clips, seconds."""
    return [(row["start"], row["end"]) for row in rows]


# ----------------------------------------------------------------------------------------------- rows of training


def stage1_rows(video: Mapping[str, Any], queries: Sequence[Mapping[str, Any]], scores_a_query: int = 3) -> list[Row]:
    """Temporal grounding and scene understanding.

    Args:
        video: a row of videos; scenes and chapters without a caption are left out.
        queries: its rows of queries.
        scores_a_query: at most this many scenes of a query are asked for their score: the best, then evenly through
            the order of the scores, so that low ones are there too.
    """
    rows: list[Row] = []
    for span in [*video["scenes"], *video["chapters"]]:
        if not span["caption"]:
            continue
        found = [clip_row(Clip(span["start"], span["end"]))]
        rows.append(_training(video, "ground", query=span["caption"], clips=found))
        rows.append(_training(video, "describe", span=span, answer=span["caption"]))
    for query in queries:
        order = sorted(range(len(query["scores"])), key=lambda i: (-query["scores"][i], i))
        count = min(scores_a_query, len(order))
        for place in sorted({i * (len(order) - 1) // max(count - 1, 1) for i in range(count)}):
            scene = order[place]
            answer = str(round(query["scores"][scene] - 0.01))  # 4.5 is not top
            rows.append(_training(video, "score", query=query["query"], span=video["scenes"][scene], answer=answer))
    return rows


def stage2_rows(video: Mapping[str, Any], queries: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Query -> key clips with priority and reason."""
    return [_training(video, query["kind"], query=query["query"], clips=query["clips"]) for query in queries]


def _training(
    video: Mapping[str, Any],
    task: str,
    *,
    query: str = "",
    span: Mapping[str, Any] | None = None,
    clips: Sequence[Row] = (),
    answer: str = "",
) -> Row:
    start, end = (span["start"], span["end"]) if span else (0.0, 0.0)
    return {
        "video_id": video["video_id"],
        "duration": video["duration"],
        "task": task,
        "query": query,
        "start": start,
        "end": end,
        "clips": list(clips),
        "answer": answer,
    }


def error_row(video_id: str, file: str, step: str, item: str, kind: str, message: str, answer: str = "") -> Row:
    """What could not be had: of which video, in which step, for which item, why, and what was answered instead."""
    row = {"video_id": video_id, "file": file, "step": step, "item": item, "kind": kind}
    return {**row, "message": message, "answer": answer}
