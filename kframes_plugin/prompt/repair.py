"""Mend the spans of an answer: into the video, and apart from each other. Every change is counted in the answer."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from kframes_plugin.prompt.extract import Answer
from kframes_plugin.types import Clip, Span

ROUNDING = 0.1  # seconds are written to a tenth, so an end may be written this far past the end of the video


def in_seconds(span: Span, edges: Sequence[float], answer: Answer) -> Span:
    """Candidate numbers -> seconds. A point [i, i) is meant as candidate i; numbers outside become infinite."""
    start, end = (math.floor(i + 0.5) if math.isfinite(i) else i for i in span)
    if (start, end) != span:
        answer.repaired("rounded a frame number")
    last = len(edges) - 1
    if start == end and 0 <= start < last:
        answer.repaired("widened a point to a span")
        end += 1
    first, second = (edges[int(i)] if 0 <= i <= last else math.copysign(math.inf, i) for i in (start, end))
    return first, second


def fit(span: Span, duration: float, edges: Sequence[float] | None, answer: Answer) -> Span | None:
    """The part of a span inside the video, or None where there is none."""
    start, end = sorted(span)
    if (start, end) != span:
        answer.repaired("swapped start and end")
    if end < 0 or start > duration or (start < end and (start == duration or end == 0)):
        answer.repaired("dropped a clip outside of the video")
        return None
    if start < 0 or end > duration + ROUNDING:
        answer.repaired("moved a time into the video")
    start, end = max(start, 0.0), min(end, duration)
    if start < end:
        return start, end
    answer.repaired("widened a point to a span")
    if edges is None:
        return max(0.0, start - 0.5), min(duration, end + 0.5)
    cell = min(bisect_right(edges, start), len(edges) - 1)
    return edges[cell - 1], edges[cell]


def disjoint(clips: list[Clip], max_clips: int, answer: Answer) -> list[Clip]:
    """Best first, at most ``max_clips``, none twice, none overlapping."""
    best_first = sorted(clips, key=lambda clip: clip.priority)
    unique: dict[Span, Clip] = {}
    for clip in best_first:
        if unique.setdefault((clip.start, clip.end), clip) is not clip:
            answer.repaired("dropped a clip written twice")
    kept = list(unique.values())
    if len(kept) > max_clips:
        answer.repaired(f"kept the first {max_clips} of {len(kept)} clips")
    kept = kept[:max_clips]
    top = _merged([clip for clip in kept if clip.priority == "P1"], answer)
    other = _merged([clip for clip in kept if clip.priority != "P1"], answer)
    pieces = [piece for clip in other for piece in _outside(clip, top, answer)]
    return [*top, *pieces][:max_clips]


def _merged(clips: list[Clip], answer: Answer) -> list[Clip]:
    """Overlapping clips become one, in the place and with the reason of the one written first."""
    merged: list[tuple[int, Clip]] = []
    for place, clip in sorted(enumerate(clips), key=lambda pair: pair[1].start):
        if merged and clip.start < merged[-1][1].end:
            answer.repaired("merged overlapping clips")
            before, last = merged.pop()
            reason = last.reason if before < place else clip.reason
            place, clip = min(before, place), replace(last, end=max(last.end, clip.end), reason=reason)
        merged.append((place, clip))
    return [clip for _, clip in sorted(merged, key=lambda pair: pair[0])]


def _outside(clip: Clip, top: list[Clip], answer: Answer) -> list[Clip]:
    """The parts of a P2 clip that no P1 clip covers, in time order."""
    pieces, start = [], clip.start
    for cover in sorted(top, key=lambda other: other.start):
        if cover.end <= start or cover.start >= clip.end:
            continue
        answer.repaired("cut a P2 clip where a P1 clip covers it")
        if start < cover.start:
            pieces.append(replace(clip, start=start, end=cover.start))
        start = cover.end
    return [*pieces, replace(clip, start=start)] if start < clip.end else pieces
