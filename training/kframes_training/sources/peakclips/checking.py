"""What is in a data set, and how good it is: statistics beside the paper's, label checks, agreement."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kframes_plugin.clips.geometry import length
from kframes_training.rows import Row, spans_in
from kframes_training.sources.peakclips import store
from kframes_training.sources.peakclips.agreement import self_agreement, with_truth

PAPER = {
    "chapters": 2.85,
    "scenes": 16.15,
    "queries": 2.52,
    "scores": 42.03,
}  # per video; 281,643 scores / 6,702 videos
ALMOST_ALL = 0.95  # share of a video that labels "cover everything" from

Report = dict[str, Any]


def check(folder: str | Path, *, against: str | Path | None = None, split: str | None = None) -> Report:
    """Everything about a data set that can be told from its rows.

    Args:
        folder: of the data set.
        against: a data set of the same videos and queries, from another seed or annotator: they are compared.
        split: of the data set; None: all.

    Returns:
        ``statistics``, ``labels``, ``errors``; ``truth`` where there are SynthScenes videos; ``agreement`` with
        ``against``.

    Raises:
        FileNotFoundError: there is no data set.
    """
    videos, queries = store.read(folder, "videos", split), store.read(folder, "queries", split)
    questions, errors = store.read(folder, "questions", split), store.read(folder, "errors", split)
    report: Report = {
        "statistics": count_rows(videos, queries, questions),
        "labels": describe_labels(videos, queries),
        "errors": dict(sorted(Counter(row["step"] for row in errors).items())),
    }
    if truth := with_truth(videos, queries):
        report["truth"] = truth
    if against is not None:
        report["agreement"] = self_agreement(queries, store.read(against, "queries", split))
    return report


def count_rows(videos: Sequence[Row], queries: Sequence[Row], questions: Sequence[Row]) -> Report:
    """Totals, and means per video beside the paper's."""
    totals = {
        "chapters": sum(len(video["chapters"]) for video in videos),
        "scenes": sum(len(video["scenes"]) for video in videos),
        "queries": len(queries),
        "scores": sum(len(query["scores"]) for query in queries),
    }
    count = max(1, len(videos))
    seconds = [video["duration"] for video in videos]
    return {
        "videos": len(videos),
        "hours": round(sum(seconds) / 3600, 3),
        "median_seconds": round(statistics.median(seconds), 1) if seconds else 0.0,
        "questions": len(questions),
        "kinds": dict(sorted(Counter(query["kind"] for query in queries).items())),
        "total": totals,
        "per_video": {name: round(total / count, 2) for name, total in totals.items()},
        "paper_per_video": PAPER,
    }


def describe_labels(videos: Sequence[Row], queries: Sequence[Row]) -> Report:
    """Shares of P1 and P2, lengths of clips, and the queries whose labels cover everything or nothing."""
    durations = {video["video_id"]: video["duration"] for video in videos}
    clips = [(query["video_id"], clip) for query in queries for clip in query["clips"]]
    lengths = sorted(clip["end"] - clip["start"] for _, clip in clips)
    everything = [query for query in queries if measure_cover(query) >= ALMOST_ALL * durations[query["video_id"]]]
    nothing = [query for query in queries if not query["clips"]]
    scores = [score for query in queries for score in query["scores"]]
    priorities = Counter(clip["priority"] for _, clip in clips)
    total = max(1, len(scores))
    return {
        "clips": len(clips),
        "clips_per_query": round(len(clips) / max(1, len(queries)), 2),
        "p1_clips": round(priorities["P1"] / max(1, len(clips)), 3),
        "p2_clips": round(priorities["P2"] / max(1, len(clips)), 3),
        "scores": {f"{low}-{low + 1}": round(sum(low <= s < low + 1 for s in scores) / total, 3) for low in range(1, 5)}
        | {"5": round(sum(s >= 5 for s in scores) / total, 3)},
        "clip_seconds": quantiles(lengths),
        "without_reason": sum(not clip["reason"] for _, clip in clips),
        "cover_everything": _named(everything),
        "cover_nothing": _named(nothing),
    }


def measure_cover(query: Row) -> float:
    """Seconds in any clip of a query."""
    return length(spans_in(query["clips"]))


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Least, 10%, median, 90% and highest of sorted values."""
    if not values:
        return {}
    places = {"min": 0.0, "p10": 0.1, "median": 0.5, "p90": 0.9, "max": 1.0}
    return {name: round(values[round(share * (len(values) - 1))], 2) for name, share in places.items()}


def _named(queries: Sequence[Row]) -> Report:
    kinds = Counter(query["kind"] for query in queries)
    first = [f"{query['video_id']}: {query['query']}" for query in queries[:20]]
    return {"count": len(queries), "kinds": dict(sorted(kinds.items())), "first": first}


def lines(report: Report) -> list[str]:
    """A report for people, as markdown."""
    stats, labels = report["statistics"], report["labels"]
    text = [
        f"{stats['videos']} videos, {stats['hours']:.2f} hours (median {stats['median_seconds']} s), "
        f"{stats['questions']} questions",
        "",
        "| per video | here | paper |",
        "|---|---|---|",
        *(f"| {name} | {stats['per_video'][name]} | {PAPER[name]} |" for name in PAPER),
        "",
        f"queries by kind: {_listed(stats['kinds'])}",
        f"clips: {labels['clips']} ({labels['clips_per_query']} a query), P1 {labels['p1_clips']}, "
        f"P2 {labels['p2_clips']}; seconds: {_listed(labels['clip_seconds'])}",
        f"scores by level: {_listed(labels['scores'])}",
    ]
    for name in ("cover_everything", "cover_nothing"):
        found = labels[name]
        text.append(f"labels that {name.replace('_', ' ')}: {found['count']} ({_listed(found['kinds'])})")
        text += [f"    {line}" for line in found["first"][:5]]
    text.append(f"errors by step: {_listed(report['errors']) or 'none'}")
    for name in ("truth", "agreement"):
        if name in report:
            text += ["", f"{name}:", *(f"    {key}: {value}" for key, value in report[name].items())]
    return text


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
