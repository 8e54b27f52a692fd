"""Spending k on clips: allocate, decode, and note what was out of the ordinary. Behind ``select`` and ``resample``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter

import numpy as np

from kframes_plugin.clips.allocation import Floats, allocate, check_strategy, resolve
from kframes_plugin.selection import Selection
from kframes_plugin.types import Cost, Frame, Span, Strategy
from kframes_plugin.video import OpenVideo

log = logging.getLogger("kframes")

Progress = Callable[[str, int, int], None]  # (step, done, total)


def draw(found: Selection, video: OpenVideo, k: int, strategy: Strategy, progress: Progress | None = None) -> Selection:
    """Spend k on the clips of ``found``: allocate, decode, and note what was out of the ordinary."""
    start, before = perf_counter(), video.frames_decoded
    settings = found.sampling.allocation
    while True:
        known = len(video.timestamps)
        times = allocate(
            found.clips,
            k,
            _pool(video.timestamps, found.sampling.within, k),
            video.duration,
            strategy=strategy,
            scenes=found.scenes,
            settings=settings,
        )
        frames = video.frames_at(times, size=found.sampling.frame_size, progress=for_step(progress, "keyframes"))
        if len(video.timestamps) == known:  # else the file turned out to be damaged: fewer frames than it says
            break
    used = resolve(strategy, found.clips, k, video.duration, settings)
    new = [note for note in video.notes if note not in found.notes]
    new += _drawing_notes(found, k, frames, used, strategy)
    tell(found.video, new)
    drawn = Cost(
        frames_decoded=video.frames_decoded - before,
        seconds={"keyframes": perf_counter() - start},
        peak_memory_mb=_peak_memory_mb(),
    )
    sampling = replace(found.sampling, strategy=strategy)
    return replace(
        found,
        k=k,
        strategy=used,
        frames=tuple(frames),
        cost=found.cost + drawn,
        notes=(*found.notes, *new),
        duration=video.duration,
        sampling=sampling,
        _opened=video,
    )


def _pool(timestamps: Floats, within: Sequence[Span], k: int) -> Floats:
    """The timestamps inside the spans, if they are at least k; otherwise all."""
    edges = np.array(within, dtype=np.float64).reshape(-1, 2)
    inside = timestamps[((timestamps[:, None] >= edges[:, 0]) & (timestamps[:, None] < edges[:, 1])).any(axis=1)]
    return inside if len(inside) >= k else timestamps


def redraw(selection: Selection, k: int, strategy: Strategy) -> Selection:
    """Draw anew from the clips of a selection, made or loaded; behind :meth:`Selection.resample`."""
    check_request(selection.query, k, strategy)
    found = replace(selection, notes=tuple(n for n in selection.notes if not n.startswith(_DRAWN)), cost=Cost())
    video = selection._opened
    if video is not None and not video.closed:
        return draw(found, video, k, strategy)
    with OpenVideo(selection.video, **selection.sampling.video_options) as again:
        return draw(found, again, k, strategy)


def tell(video: str, notes: Iterable[str]) -> None:
    """One log line a note: nothing out of the ordinary happens in silence."""
    for note in notes:
        log.warning("%s: %s", video or "frames", note)


def check_request(query: str, k: int, strategy: Strategy | None) -> None:
    """Raise TypeError or ValueError, with the value and the rule, for arguments that cannot be."""
    if not isinstance(query, str):
        raise TypeError(f"query must be a string; got {type(query).__name__}")
    if not query.strip():
        raise ValueError("query must not be empty; say in words what is looked for")
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k must be a whole number; got {k!r} ({type(k).__name__})")
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}")
    if strategy is not None:
        check_strategy(strategy)


def for_step(progress: Progress | None, step: str) -> Callable[[int, int], None] | None:
    """Progress of one step, as the decoders tell it."""
    return None if progress is None else lambda done, total: progress(step, done, total)


# Notes of sampling start with these words; they hold for one k only, so resample leaves them out.
_DRAWN = ("no clip", "the video has only", "the clips hold only")


def _drawing_notes(found: Selection, k: int, frames: list[Frame], used: Strategy, asked: Strategy) -> Iterator[str]:
    if not found.clips and asked != "uniform":
        spread = "over the scenes" if len(frames) >= len(found.scenes) > 0 else "over the video"
        yield f"no clip was found for the query; the frames are spread uniformly {spread}"
    if len(frames) < k:
        yield f"the video has only {len(frames)} frames, {k} were asked for"
    elif used == "focused":
        seen = sum(any(f.timestamp < clip.end and clip.start < f.end for clip in found.clips) for f in frames)
        if seen < k:
            yield f"the clips hold only {seen} frames; the other {k - seen} lie outside them"


def _peak_memory_mb() -> float | None:
    """Peak resident memory of this process in MB, or None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024 * 1024)
