"""Windows: where to look closely, by scores of a dense pool; and clips that end where nothing was looked at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kframes_plugin.clips.geometry import candidate_edges, check_scores, inside, lay_end_to_end, length, overlaps, union
from kframes_plugin.types import Candidates, Clip, Span


def thin(times: NDArray[np.float64], spans: Sequence[Span], most: int) -> NDArray[np.float64]:
    """At most ``most`` of the times that lie in the spans, spread evenly.

    Args:
        times: (n,) seconds, rising.
        spans: apart, in time order, at least one.
        most: >= 1.

    Returns:
        All of them where they are few enough; else of each of ``most`` equal parts the one nearest to its middle.
    """
    pool = times[inside(times, spans)]
    if len(pool) <= most:
        return pool
    clock, total = lay_end_to_end(pool, spans)
    slots = np.minimum((clock / total * most).astype(np.int64), most - 1)
    off = np.abs(clock - (slots + 0.5) * total / most)
    order = np.lexsort((off, slots))
    _, firsts = np.unique(slots[order], return_index=True)
    return pool[np.sort(order[firsts])]


def choose_windows(
    scores: ArrayLike,
    times: Sequence[float],
    spans: Sequence[Span],
    seconds: float,
    *,
    margin: float,
    named: Sequence[Span] = (),
) -> list[Span]:
    """Name the parts of a video that fit a query best.

    Each frame of the pool stands for what is nearer to it than to another, and ``margin`` more on both sides. The
    frames with the highest scores come first, until the windows are long enough.

    Args:
        scores: (n,) finite, one a frame of the pool, higher is better.
        times: (n,) seconds, rising, inside the spans.
        spans: where windows may lie: apart, in time order, at least one.
        seconds: length of all windows, about; the last one may be cut short, but a window shows its frame.
        margin: seconds, >= 0.
        named: parts of the spans that are windows whatever the scores: apart, in time order.

    Returns:
        Windows apart, in time order, inside the spans.

    Raises:
        ValueError: scores are not finite, or not one for each time.
    """
    values = check_scores(scores, times)
    edges = candidate_edges(list(times), spans[-1][1])
    windows = list(named)
    for place in np.argsort(-values, kind="stable").tolist():
        left = seconds - length(windows)
        if left <= 0:
            break
        wide = (max(0.0, edges[place] - margin), edges[place + 1] + margin)
        (home,) = [span for span in spans if span[0] <= times[place] < span[1]]
        windows = union([*windows, *overlaps([wide], [home])])
    return windows


def choose_stretches(
    scores: ArrayLike,
    times: Sequence[float],
    spans: Sequence[Span],
    frames: NDArray[np.float64],
    count: int,
    *,
    named: Sequence[Span] = (),
) -> list[Span]:
    """Name the parts of a video that fit a query best, until they hold enough frames.

    Args:
        scores, times, spans, named: as for :func:`choose_windows`.
        frames: (m,) seconds, rising: the times that count.
        count: of ``frames`` that windows hold, about, and no more; the best frame of the pool has a window in any case.

    Returns:
        Windows apart, in time order, inside the spans: what is nearer to a frame of the pool than to another.
    """
    values = check_scores(scores, times)
    edges = candidate_edges(list(times), spans[-1][1])
    windows, left = list(named), count - int(inside(frames, named).sum()) if named else count
    for place in np.argsort(-values, kind="stable").tolist():
        (home,) = [span for span in spans if span[0] <= times[place] < span[1]]
        stretch = overlaps([(edges[place], edges[place + 1])], [home])
        left -= int(inside(frames, stretch).sum())
        if left < 0 and windows:
            break
        windows += stretch
    return union(windows)


def rank_windows(windows: Sequence[Span], scores: ArrayLike, times: ArrayLike, most: int = 4) -> tuple[Clip, ...]:
    """The windows whose best frames score highest, as clips, best first.

    Args:
        windows: apart; those that hold no frame of the pool are left out.
        scores, times: (n,) of the pool.
        most: windows, >= 1.
    """
    values, at = np.asarray(scores, np.float64), np.asarray(times, np.float64)
    held = [(start, end, values[(at >= start) & (at < end)]) for start, end in windows]
    best = [(-own.max(), start, end) for start, end, own in held if len(own)]
    return tuple(Clip(start, end, "P2", "scores high for the retriever") for _, start, end in sorted(best)[:most])


def subtract(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The parts of spans that lie in no other; both apart and in time order."""
    parts: list[Span] = []
    for start, end in spans:
        at = start
        for low, high in others:
            if low >= end or high <= at:
                continue
            if low > at:
                parts.append((at, low))
            at = max(at, high)
        if at < end:
            parts.append((at, end))
    return parts


def trim_to_windows(clips: Sequence[Clip], candidates: Candidates) -> list[Clip]:
    """Cut off what hangs over the end of a window up to a candidate far away that the clip does not hold.

    Candidates are dense in windows and sparse outside, so half the way to the next candidate may be a minute.

    Args:
        clips: in any order.
        candidates: what the selector saw; where they have no windows nothing is cut.
    """
    times = np.array([frame.timestamp for frame in candidates])
    return [_trim(clip, candidates.windows, times) for clip in clips] if candidates.windows else list(clips)


def _trim(clip: Clip, windows: Sequence[Span], times: NDArray[np.float64]) -> Clip:
    held = times[(times >= clip.start) & (times < clip.end)]
    if not len(held):
        return clip
    start = max([clip.start, *(low for low, high in windows if low <= held[0] < high)])
    end = min([clip.end, *(high for low, high in windows if low <= held[-1] < high)])
    return replace(clip, start=start, end=end) if start < end else clip
