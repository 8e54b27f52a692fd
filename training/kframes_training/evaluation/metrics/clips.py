"""Scores of the clips of one query (the field's measures for temporal grounding)."""

from __future__ import annotations

from collections.abc import Sequence

from kframes_plugin.clips.geometry import iou, length, precision_recall
from kframes_plugin.types import Clip, Span

LEVELS = (0.3, 0.5, 0.7)
METRICS = ("iou", *(f"R@{level}" for level in LEVELS), "precision", "recall", "over", "empty")


def clip_scores(found: Sequence[Clip], true: Sequence[Clip]) -> dict[str, float]:
    """Score the clips found for a query against the true ones.

    Score every query that has true clips, also where nothing was found: leaving such queries out has reported a mIoU
    of .773 where .632 was true.

    Args:
        found: clips of the selector, best first; may be empty.
        true: the true clips; empty where the query's answer is not in the video.

    Returns:
        ``iou``: seconds in both over seconds in either, 0 to 1; their mean over queries is mIoU.
        ``R@0.3`` ...: 1 when the first clip (P1 before P2, then as given) overlaps some true clip with that IoU.
        ``precision``, ``recall``: share of the found seconds that are true, of the true seconds that are found.
        ``over``: seconds found / seconds true.
        ``empty``: 1 when nothing is found (abstention).
        Where nothing is found, all are 0 but ``empty``; none is ever NaN or None.
        Of a query without true clips only ``iou`` (1 for abstention, else 0) and ``empty`` are defined.
    """
    predicted, wanted = spans_of(found), spans_of(true)
    scores = {"iou": iou(predicted, wanted), "empty": float(not predicted)}
    if not wanted:
        return scores
    first = spans_of(sorted(found, key=lambda clip: clip.priority)[:1])
    best = max((iou(first, [span]) for span in wanted), default=0.0) if first else 0.0
    precision, recall = precision_recall(predicted, wanted)
    scores |= {f"R@{level}": float(best >= level) for level in LEVELS}
    return scores | {"precision": precision, "recall": recall, "over": length(predicted) / length(wanted)}


def spans_of(clips: Sequence[Clip]) -> list[Span]:
    """(start, end) of every clip, seconds."""
    return [(clip.start, clip.end) for clip in clips]
