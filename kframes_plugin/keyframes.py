"""From clips and k to keyframes: allocate, decode, note what was out of the ordinary. Behind select and resample."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from kframes_plugin.clips.allocation import DEFAULT, Allocation, allocate, check_strategy, resolve
from kframes_plugin.clips.cheap_frames import move_off_damage, snap_to_i_frames
from kframes_plugin.clips.geometry import inside, lay_end_to_end
from kframes_plugin.text import printable, quoted
from kframes_plugin.types import FRAME_SIZE, Clip, Cost, Frame, Note, Span, Strategy
from kframes_plugin.video import OpenVideo

log = logging.getLogger("kframes")

Progress = Callable[[str, int, int], None]  # (step, done, total)
ProgressOption = Progress | bool | None  # True: bars of tqdm
_MOST_TRIES = 10  # to keep off damage that is met while decoding; then what is there is taken
# Notes with these codes hold for one k only, so resample replaces them.
KEYFRAME_CODES = ("no-clip", "few-frames", "clips-full", "spans-full")


@dataclass(frozen=True)
class SamplingOptions:
    """How keyframes are taken, so that ``resample`` can take others in the same way.

    Attributes:
        strategy: the strategy asked for; "auto" is decided anew for every k.
        allocation: weights and shares.
        frame_size: size of the keyframes as for :meth:`OpenVideo.frames_at`; None is the size of the video.
        video_options: keyword arguments of :class:`OpenVideo`.
        within: spans, seconds, from which all frames come as long as they hold k; none: the whole video.
        exact: keep the exact spacing; else frames move to ones that cost less, inside their own stretches of time.
    """

    strategy: Strategy = "auto"
    allocation: Allocation = DEFAULT
    frame_size: int | tuple[int, int] | None = FRAME_SIZE
    video_options: Mapping[str, Any] = field(default_factory=dict)
    within: tuple[Span, ...] = ()
    exact: bool = False


@dataclass(frozen=True)
class Keyframes:
    """The frames taken for one k.

    Attributes:
        frames: min(k, frames in the video) distinct frames in time order.
        strategy: the strategy that was used: "focused", "hybrid" or "uniform".
        notes: what was out of the ordinary about the video and about this k.
        cost: frames decoded and seconds.
    """

    frames: tuple[Frame, ...]
    strategy: Strategy
    notes: tuple[Note, ...]
    cost: Cost


def take_keyframes(
    video: OpenVideo,
    clips: Sequence[Clip],
    k: int,
    options: SamplingOptions,
    *,
    nearest: Sequence[Clip] = (),
    scenes: Sequence[Span] = (),
    progress: Progress | None = None,
) -> Keyframes:
    """Spend k on the clips: exactly min(k, frames in the video) distinct frames.

    Args:
        video: where the frames come from.
        clips: best first.
        k: frames wanted, >= 1.
        options: strategy, weights, size and spans.
        nearest: as for :func:`~kframes_plugin.clips.allocation.allocate`.
        scenes: spans, seconds, over which the frames are spread where there are neither.
        progress: called as ``progress("keyframes", done, total)``.

    Raises:
        VideoError: decoding fails.
    """
    start, before = perf_counter(), video.frames_decoded
    for _ in range(_MOST_TRIES):
        known, damaged = video.timestamps, video.is_damaged.sum()
        times, used = choose_times(video, clips, k, options, nearest=nearest, scenes=scenes)
        frames = video.frames_at(times, size=options.frame_size, progress=for_step(progress, "keyframes"))
        if len(video.timestamps) == len(known) and video.is_damaged.sum() == damaged:
            break  # else more damage was met on the way: fewer frames than the file says, or some to be avoided
    notes = (*video.notes, *_keyframe_notes(clips, nearest, scenes, frames, k, used, options))
    cost = Cost(
        frames_decoded=video.frames_decoded - before,
        seconds={"keyframes": perf_counter() - start},
        peak_memory_mb=_peak_memory_mb(),
    )
    return Keyframes(tuple(frames), used, notes, cost)


def choose_times(
    video: OpenVideo,
    clips: Sequence[Clip],
    k: int,
    options: SamplingOptions,
    *,
    nearest: Sequence[Clip] = (),
    scenes: Sequence[Span] = (),
) -> tuple[list[float], Strategy]:
    """When the keyframes come on screen, seconds, ascending, and the strategy used; as for :func:`take_keyframes`."""
    times, used = _allocate(video, clips, k, options, nearest, scenes)
    if options.exact:
        return times, used
    known, length = video.timestamps, video.duration
    edges = _edges([*clips, *nearest] if used != "uniform" else [], k, options, scenes)
    times = snap_to_i_frames(times, edges, known, video.needed, length)
    return move_off_damage(times, edges, known, video.is_damaged, length) if video.is_damaged.any() else times, used


def _allocate(
    video: OpenVideo,
    clips: Sequence[Clip],
    k: int,
    options: SamplingOptions,
    nearest: Sequence[Clip],
    scenes: Sequence[Span],
) -> tuple[list[float], Strategy]:
    """Times of min(k, n) frames and the strategy used. Spans of ``within`` are shared as a video of their own."""
    times, length, strategy, settings = video.timestamps, video.duration, options.strategy, options.allocation
    within = options.within
    pool = times[inside(times, within)] if within else times
    if len(pool) < k and within:  # all of them, and the rest around them
        around = [Clip(*span) for span in within]
        chosen = allocate(around, k, times, length, strategy="focused", settings=settings)
        return chosen, resolve(strategy, clips or nearest, k, length, settings)
    clock = pool
    if within:
        clock, length = lay_end_to_end(pool, within)
        clips, nearest = _lay_clips(clips, within), _lay_clips(nearest, within)
        starts = lay_end_to_end(np.array([start for start, _ in scenes]), within)[0].tolist()
        scenes = [(at, at + end - start) for (start, end), at in zip(scenes, starts, strict=True)]
    chosen = allocate(clips, k, clock, length, strategy=strategy, nearest=nearest, scenes=scenes, settings=settings)
    used = resolve(strategy, clips or nearest, k, length, settings)
    return (pool[np.searchsorted(clock, chosen)].tolist() if within else chosen), used


def _lay_clips(clips: Sequence[Clip], within: Sequence[Span]) -> list[Clip]:
    """Clips that lie in the spans, on the clock of the spans laid end to end."""
    starts = lay_end_to_end(np.array([clip.start for clip in clips]), within)[0].tolist()
    return [replace(clip, start=at, end=at + clip.length) for clip, at in zip(clips, starts, strict=True)]


def log_notes(video: str, notes: Iterable[Note]) -> None:
    """Write one log line a note: nothing out of the ordinary happens in silence."""
    for note in notes:
        log.warning("%s: %s", printable(video) or "frames", printable(str(note)))


def _edges(clips: Sequence[Clip], k: int, options: SamplingOptions, scenes: Sequence[Span]) -> list[float]:
    """Seconds that no frame may cross when it moves: ends of what the frames were shared over."""
    spans = [*options.within, *((clip.start, clip.end) for clip in clips)]
    if not clips and options.strategy != "uniform" and k >= len(scenes):
        spans += scenes
    return [edge for span in spans for edge in span]


def check_request(query: str, k: int, strategy: Strategy | None) -> int:
    """The number of frames as a Python int.

    Raises:
        TypeError, ValueError: with the value and the rule, for arguments that cannot be.
    """
    if not isinstance(query, str):
        raise TypeError(f"query must be a string; got {type(query).__name__}")
    if not query.strip():
        raise ValueError("query must not be empty; say in words what to look for")
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"k must be a whole number; got {quoted(k)} ({type(k).__name__})")
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}")
    if strategy is not None:
        check_strategy(strategy)
    return int(k)


def check_kinds(**given: tuple[Any, Any]) -> None:
    """Check arguments by name: each a value and its type, or a union of types.

    Raises:
        TypeError: with the name, the types and the value.
    """
    for name, (value, kind) in given.items():
        if not isinstance(value, kind):
            wanted = getattr(kind, "__name__", str(kind))
            raise TypeError(f"{name} must be {wanted}; got {quoted(value)} ({type(value).__name__})")


def as_progress(progress: ProgressOption) -> Progress | None:
    """The progress to be told; for True bars of tqdm, one a step: widgets in a notebook, text in a terminal."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress must be a function (step, done, total), a bool or None; got {quoted(progress)}")
    if not isinstance(progress, bool):
        return progress
    return _Bars() if progress else None


class _Bars:
    """Bars of tqdm.auto, each closed when its step is done."""

    def __init__(self) -> None:
        self.open: dict[str, Any] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        from tqdm.auto import tqdm

        if step not in self.open:
            self.open[step] = tqdm(desc=step, total=total, leave=False)
        bar = self.open[step]
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            self.open.pop(step).close()


def for_step(progress: Progress | None, step: str) -> Callable[[int, int], None] | None:
    """Progress of one step, as the decoders tell it."""
    return None if progress is None else lambda done, total: progress(step, done, total)


def _keyframe_notes(
    clips: Sequence[Clip],
    nearest: Sequence[Clip],
    scenes: Sequence[Span],
    frames: Sequence[Frame],
    k: int,
    used: Strategy,
    options: SamplingOptions,
) -> Iterator[Note]:
    if not clips and options.strategy != "uniform":
        spread = "over the scenes" if len(frames) >= len(scenes) > 0 else "over the video"
        shown = "show what comes nearest to it" if nearest else f"are spread uniformly {spread}"
        yield Note("no-clip", f"no clip was found for the query; the frames {shown}")
    if len(frames) < k:
        yield Note("few-frames", f"the video has only {len(frames)} frames, but {k} were asked for")
    elif used == "focused" and (held := _count_inside(frames, [(c.start, c.end) for c in clips or nearest])) < k:
        yield Note("clips-full", f"the clips hold only {held} frames; the other {k - held} lie outside them")
    if options.within and (held := _count_inside(frames, options.within)) < len(frames):
        text = f"the spans of within= hold only {held} frames; the other {len(frames) - held} lie around them"
        yield Note("spans-full", text)


def _count_inside(frames: Sequence[Frame], spans: Sequence[Span]) -> int:
    """Frames that stand on screen in one of the spans."""
    return sum(any(frame.timestamp < end and start < frame.end for start, end in spans) for frame in frames)


def with_strategy(options: SamplingOptions, strategy: Strategy | None) -> SamplingOptions:
    """The options, with another strategy where one is given."""
    return options if strategy is None else replace(options, strategy=strategy)


def _peak_memory_mb() -> float | None:
    """Peak resident memory of this process in MB, or None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024 * 1024)
