"""What the page of a report knows of the video and of what was found in it: plain JSON, as page.js reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from kframes_plugin.output.report.clock import pack_counts, pack_times
from kframes_plugin.text import printable
from kframes_plugin.types import Clip

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection
    from kframes_plugin.video import OpenVideo


def film_data(selection: Selection, video: OpenVideo | None) -> dict[str, Any]:
    """What is needed to draw the strip and, with the video, to allocate any k (``chooseFrames`` in allocation.js)."""
    curve = relevance_curve((*selection.clips, *selection.nearest), selection.duration)
    known: dict[str, Any] = {
        "duration": selection.duration,
        "clips": [_plain_clip(clip) | {"reason": printable(clip.reason)} for clip in selection.clips],
        "scenes": selection.scenes,
        "curve": curve,
        "curve_top": max((score for *_, score in curve), default=1.0),
        "offset": 0.0,
    }
    if video is None:
        return known
    return known | {
        "clock": pack_times(video.timestamps),
        "needed": pack_counts(video.needed),
        "nearest": [_plain_clip(clip) for clip in selection.nearest],
        "spans": selection.sampling.within,
        "settings": asdict(selection.sampling.allocation),
        "strategy": selection.sampling.strategy,
        "exact": selection.sampling.exact,
        "offset": video.offset,
    }


def relevance_curve(clips: Sequence[Clip], duration: float) -> list[tuple[float, float, float]]:
    """(start, end, score) parts of [0, duration) where clips have scores: the best of those that lie there.

    Neighbours of one score are one part. Without scores above 0 there is no curve: the list is empty.
    """
    scored = [clip for clip in clips if clip.score and clip.start < duration]
    edges = sorted({0.0, duration, *(min(edge, duration) for clip in scored for edge in (clip.start, clip.end))})
    best = np.zeros(len(edges) - 1)
    for clip in scored:
        first, last = np.searchsorted(edges, [clip.start, min(clip.end, duration)])
        best[first:last] = np.maximum(best[first:last], clip.score or 0.0)
    parts: list[tuple[float, float, float]] = []
    for start, end, score in zip(edges[:-1], edges[1:], best.tolist(), strict=True):
        if parts and parts[-1][2] == score:
            start = parts.pop()[0]
        parts.append((start, end, score))
    return parts if scored else []


def _plain_clip(clip: Clip) -> dict[str, Any]:
    return {"start": clip.start, "end": clip.end, "priority": clip.priority, "score": clip.score}
