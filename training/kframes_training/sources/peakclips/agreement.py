"""How far labels agree: with the truth where it is known (SynthScenes), or with those of another seed or annotator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kframes_plugin.clips.geometry import iou
from kframes_plugin.types import Span
from kframes_training.rows import P1_SCORE, P2_SCORE, Row, spans_in
from kframes_training.sources.peakclips.chapters import inner_ends_f1
from kframes_training.sources.peakclips.oracle import known_queries, known_video, true_scene
from kframes_training.sources.synthscenes.rows import make_clips


def with_truth(videos: Sequence[Row], queries: Sequence[Row]) -> dict[str, Any]:
    """Means over the SynthScenes videos and their known queries; {} where there are none.

    Returns:
        ``p1_iou``: seconds in both over seconds in either, of the P1 clips, mean over queries (1 where both have none);
        ``p1_iou_present``: of the queries that truly have P1 clips; ``clips_iou``: of P1 and P2 together;
        ``score_error``: mean absolute difference of the scores; ``scores_right``: share of the scores in the right one
        of the three classes P1, P2, neither; ``scene_f1``, ``chapter_f1``: of boundaries, within a second.
    """
    known = {video["video_id"]: truth for video in videos if (truth := known_video(video["video_id"]))}
    if not known:
        return {}
    rows: dict[str, list[float]] = {name: [] for name in ("p1_iou", "p1_iou_present", "clips_iou")}
    errors: list[float] = []
    right: list[bool] = []
    scenes = {video["video_id"]: spans_in(video["scenes"]) for video in videos}
    counted = 0
    for row in queries:
        video = known.get(row["video_id"])
        query = known_queries(video).get(row["query"]) if video else None
        if video is None or query is None:
            continue
        counted += 1
        true = make_clips(video.scenes, query)
        top = [(clip.start, clip.end) for clip in true if clip.priority == "P1"]
        overlap = iou(_spans(row, "P1"), top)
        rows["p1_iou"].append(overlap)
        rows["p1_iou_present"] += [overlap] if top else []
        rows["clips_iou"].append(iou(spans_in(row["clips"]), [(clip.start, clip.end) for clip in true]))
        for span, score in zip(scenes[row["video_id"]], row["scores"], strict=True):
            score_there = query.scores[video.scenes.index(true_scene(video, span))]
            errors.append(abs(score - score_there))
            right.append(_level(score) == _level(score_there))
    bounds = [_compare_ends(video, known[video["video_id"]]) for video in videos if video["video_id"] in known]
    return {
        "videos": len(known),
        "queries": counted,
        **{name: _mean(values) for name, values in rows.items()},
        "score_error": _mean(errors),
        "scores_right": _mean(right),
        "scene_f1": _mean([scene for scene, _ in bounds]),
        "chapter_f1": _mean([chapter for _, chapter in bounds]),
    }


def _compare_ends(row: Row, video: Any) -> tuple[float, float]:
    """F1 of the cuts and of the chapters' boundaries of a video."""
    cuts = [(scene.start, scene.end) for scene in video.scenes]
    chapters = [(chapter[0].start, chapter[-1].end) for chapter in video.chapters]
    return inner_ends_f1(spans_in(row["scenes"]), cuts), inner_ends_f1(spans_in(row["chapters"]), chapters)


def self_agreement(one: Sequence[Row], other: Sequence[Row]) -> dict[str, Any]:
    """How far two data sets label the same queries alike.

    Returns:
        ``shared``: queries in both, of ``queries``; ``p1_iou``, ``clips_iou``: means over the shared ones;
        ``same_class``: share of scores in the same one of P1, P2, neither; ``score_difference``: mean absolute.
    """
    there = {(row["video_id"], row["query"]): row for row in other}
    pairs = [(row, there[key]) for row in one if (key := (row["video_id"], row["query"])) in there]
    scores = [
        (a, b)
        for row, twin in pairs
        if len(row["scores"]) == len(twin["scores"])
        for a, b in zip(row["scores"], twin["scores"], strict=True)
    ]
    return {
        "queries": len(one),
        "shared": len(pairs),
        "p1_iou": _mean([iou(_spans(row, "P1"), _spans(twin, "P1")) for row, twin in pairs]),
        "clips_iou": _mean([iou(spans_in(row["clips"]), spans_in(twin["clips"])) for row, twin in pairs]),
        "same_class": _mean([_level(a) == _level(b) for a, b in scores]),
        "score_difference": _mean([abs(a - b) for a, b in scores]),
    }


def _spans(row: Row, priority: str) -> list[Span]:
    return [(clip["start"], clip["end"]) for clip in row["clips"] if clip["priority"] == priority]


def _level(score: float) -> int:
    return 2 if score >= P1_SCORE else 1 if score >= P2_SCORE else 0


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
