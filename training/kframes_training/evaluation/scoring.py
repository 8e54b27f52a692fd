"""Selections against the truth: frames by KFS-Bench's and LV-Haystack's measures, clips by IoU, by number of spans."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kframes_plugin.clips.geometry import iou
from kframes_plugin.types import Clip
from kframes_training.evaluation.metrics.haystack import haystack_scores
from kframes_training.evaluation.metrics.kfs_bench import KFS_METRICS, kfs_scores
from kframes_training.evaluation.selection_files import Chosen
from kframes_training.evaluation.statistics import MEANS, estimate, estimate_metric, plain
from kframes_training.evaluation.tables import Table, cell, render
from kframes_training.evaluation.truth_files import Truth

HEADS = {
    "kfr": "KFR",
    "shr": "SHR",
    "bsr": "BSR",
    "bds": "BDS",
    "ukss": "UKSS",
    "precision": "precision, 5 s",
    "recall": "recall, 5 s",
    "f1": "F1, 5 s",
    "f1_kept": "F1 without empty items",
    "annd": "nearest, s",
    "iou": "mIoU of clips",
}
LENGTHS = ((0.0, 180.0, "< 3 min"), (180.0, 900.0, "3-15 min"), (900.0, math.inf, "> 15 min"))


@dataclass(frozen=True)
class Matched:
    """A selection, its truth, and its frames in seconds (None: nothing was selected for this query)."""

    truth: Truth
    chosen: Chosen | None
    frames: tuple[float, ...]
    selector: str
    k: int | None


def matched(
    selections: Sequence[Chosen], truths: Sequence[Truth], *, fps: float | None = None, skip_missing: bool = False
) -> tuple[list[Matched], list[str]]:
    """Every truth with the selection for it, for every (selector, k) that the selections have.

    Args:
        selections: of one or several selectors and budgets.
        truths: of all queries.
        fps: for frame numbers where neither their row nor the truth says it.
        skip_missing: leave queries out that have no selection; otherwise they count as empty selections.

    Returns:
        The pairs, and notes: which queries have no selection, which selections have no truth.

    Raises:
        ValueError: lists without keys that are not as many as the truths, two selections of one query, or frame
            numbers without fps.
    """
    by_key: dict[tuple[str, int | None], dict[Any, Chosen]] = defaultdict(dict)
    if all(one.key is None for one in selections) and len(selections) != len(truths):
        raise ValueError(
            f"bare lists of frame numbers are matched by their order: {len(selections)} lists, {len(truths)} truths"
        )
    for place, one in enumerate(selections):
        key = one.key if one.key is not None else truths[place].key if place < len(truths) else ("?", one.place)
        into = by_key[one.selector, one.k]
        if key in into:
            raise ValueError(f"{one.place}: a second selection for {' / '.join(key)}; the first is {into[key].place}")
        into[key] = one
    pairs, notes = [], []
    known = {truth.key for truth in truths}
    for (selector, k), rows in by_key.items():
        name = " ".join(filter(None, [selector or "selections", f"k={k}" if k else ""]))
        missing = [truth for truth in truths if truth.key not in rows]
        notes += _note(
            name,
            "no selection for",
            [truth.key for truth in missing],
            "left out" if skip_missing else "counted as empty",
        )
        notes += _note(name, "no truth for", [key for key in rows if key not in known], "not scored")
        for truth in truths:
            if (found := rows.get(truth.key)) is not None or not skip_missing:
                pairs.append(Matched(truth, found, seconds_of(found, truth, fps) if found else (), selector, k))
    return pairs, notes


def _note(name: str, what: str, keys: Sequence[tuple[str, ...]], then: str) -> list[str]:
    if not keys:
        return []
    shown = "; ".join(" / ".join(part for part in key if part != "id") for key in keys[:5])
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return [f"{name}: {what} {len(keys)} ({then}): {shown}{more}"]


def seconds_of(one: Chosen, truth: Truth, fps: float | None) -> tuple[float, ...]:
    """The frames of a selection in seconds; ValueError where frame numbers have no fps."""
    if one.seconds is not None:
        return one.seconds
    rate = one.fps or truth.fps or fps
    if not rate:
        raise ValueError(f"{one.place} gives frame numbers; give fps in the row, in the truth, or as --fps")
    return tuple(index / rate for index in one.indices or ())


def item_scores(frames: Sequence[float], truth: Truth, clips: Sequence[Clip] | None = None) -> dict[str, float | None]:
    """All scores that the truth of one query allows; {} where it has neither scenes nor keyframes.

    Args:
        frames: seconds.
        truth: of the query.
        clips: of the selection, where it has some.
    """
    scores: dict[str, float | None] = {}
    if truth.scenes:
        scores |= kfs_scores(frames, truth.scenes, grace=truth.grace)
        if clips is not None:
            true = [(start, end + truth.grace) for scene in truth.scenes for start, end in scene]
            scores["iou"] = iou([(clip.start, clip.end) for clip in clips], true)
    if truth.keyframes is not None:
        found = haystack_scores(frames, truth.keyframes)
        scores |= found | {"f1_kept": None if found["skipped"] else found["f1"]}  # the original leaves empty items out
    return scores


def scored(pairs: Sequence[Matched]) -> list[dict[str, Any]]:
    """One row an item that can be scored: selector, k, video, spans, frames, duplicates, scores."""
    rows = []
    for pair in pairs:
        scores = item_scores(pair.frames, pair.truth, pair.chosen.clips if pair.chosen else None)
        if scores:
            rows.append(
                {
                    "selector": pair.selector,
                    "k": pair.k,
                    "key": list(pair.truth.key),
                    "video": pair.truth.video,
                    "duration": pair.truth.duration,
                    "spans": len(pair.truth.scenes),
                    "frames": len(pair.frames),
                    "duplicates": len(pair.frames) - len(set(pair.frames)),
                    "scores": scores,
                }
            )
    return rows


def groups_of(row: Mapping[str, Any]) -> list[str]:
    """The lines that an item counts in: all, its number of spans, its length."""
    groups = ["all"]
    if row["spans"]:
        groups.append("1 span" if row["spans"] == 1 else "2 spans" if row["spans"] == 2 else "3 spans or more")
    if row["duration"]:
        groups.append(next(name for low, high, name in LENGTHS if low <= row["duration"] < high))
    return groups


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means with their 95% intervals over videos for every selector, k and group; of UKSS the geometric mean."""
    values: dict[Any, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in rows:
        for group in groups_of(row):
            into = values[row["selector"], row["k"], group]
            for name in ("frames", "duplicates"):
                into[name][row["video"]].append(float(row[name]))
            for name, value in row["scores"].items():
                if value is not None:
                    into[name][row["video"]].append(value)
    found = []
    for (selector, k, group), measures in values.items():
        means = {
            name: plain(estimate_metric(name, by) if name in MEANS else estimate(by)) for name, by in measures.items()
        }
        found.append({"selector": selector, "k": k, "group": group, **means})
    return found


def markdown(summed: Sequence[Mapping[str, Any]]) -> str:
    """The table of :func:`summary`: one line a selector, k and group; in brackets the 95% interval over videos."""
    order = ("all", "1 span", "2 spans", "3 spans or more", *(name for _, _, name in LENGTHS))
    columns = [name for name in HEADS if any(name in row for row in summed)]
    lines = []
    for row in sorted(summed, key=lambda row: (row["selector"], row["k"] or 0, order.index(row["group"]))):
        count = row["frames"][3]
        lines.append(
            [
                row["selector"] or "selections",
                str(row["k"] or ""),
                row["group"],
                str(count),
                f"{row['frames'][0]:.1f}",
                f"{row['duplicates'][0]:.1f}",
                *(cell(row.get(name)) for name in columns),
            ]
        )
    head = ["selector", "k", "queries", "number", "frames", "of them twice", *(HEADS[name] for name in columns)]
    return render(Table("", head, lines))


__all__ = ["KFS_METRICS", "Matched", "item_scores", "markdown", "matched", "scored", "seconds_of", "summary"]
