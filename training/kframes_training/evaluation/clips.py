"""How well predicted clips fit the true spans (temporal IoU, the field's measure for temporal grounding)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kframes_plugin.types import Span


def union(spans: Iterable[Span]) -> list[Span]:
    """The spans merged where they touch or overlap, in time order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def length(spans: Iterable[Span]) -> float:
    """Seconds covered by the spans."""
    return sum(end - start for start, end in union(spans))


def overlap(one: Iterable[Span], other: Iterable[Span]) -> float:
    """Seconds covered by both."""
    others = union(other)
    return sum(max(0.0, min(b, d) - max(a, c)) for a, b in union(one) for c, d in others)


def iou(one: Iterable[Span], other: Iterable[Span]) -> float:
    """Seconds in both over seconds in either, 0 to 1. Two empty sides agree: 1."""
    one, other = list(one), list(other)
    either = length([*one, *other])
    return overlap(one, other) / either if either else 1.0


def precision_recall(predicted: Sequence[Span], true: Sequence[Span]) -> tuple[float, float]:
    """Share of the predicted seconds that are true, share of the true seconds that are predicted; 0 for an empty side."""
    both = overlap(predicted, true)
    seconds, wanted = length(predicted), length(true)
    return (both / seconds if seconds else 0.0), (both / wanted if wanted else 0.0)
