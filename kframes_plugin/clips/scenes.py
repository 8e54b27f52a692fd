"""Finds cuts and scenes: a scene lies between two jumps of the colour histogram. One pass, any frames, little memory.

Source of the idea: K-frames (arXiv 2510.13891) divides videos by the difference of neighbouring frames' histograms.
What is ours: histograms of 6 x 6 blocks, compared as cumulative curves, so that a slight change of light is a slight
difference; a limit that follows the motion around; a test for flashes; all distances in time in seconds, not frames.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kframes_plugin.types import Candidates, Frame, Span

FrameHistograms = NDArray[np.float32]
HISTOGRAMS = "histograms"  # key in Candidates.cache
SIDE, GRID, BINS = 48, 6, 16  # pixels a side, blocks a side, bins a channel. 4 blocks: precision -.02; 8: no better


class Cut(NamedTuple):
    """A boundary between two scenes.

    Attributes:
        time: when the new scene comes on screen, seconds; for :class:`Candidates`, between which a cut lies anywhere,
            halfway between the two.
        jump: difference of the two frames' histograms, 0 to 1.
    """

    time: float
    jump: float


@dataclass(frozen=True)
class CutRule:
    """When a jump of the histograms is a cut: jump > threshold + ratio * motion around it.

    Attributes:
        threshold: smallest jump of a cut where nothing else moves, 0 to 1.
        ratio: how many times the motion a cut must exceed it, >= 0. The motion is the mean of the 8 largest other
            jumps within ``window``: 8, so that frames shown twice or more do not hide it.
        window: seconds before and after that count as around it.
        sparse_threshold: limit instead where the two frames are further apart than ``window``, or alone in it: all
            that lies between two far-apart frames may have moved, and what is around tells nothing.
        flash: seconds; a jump that is undone within them is a flash, not a cut.
        min_gap: seconds between two cuts; of closer ones the larger jump stays.
    """

    threshold: float = 0.03
    ratio: float = 1.75
    window: float = 0.5
    sparse_threshold: float = 0.07
    flash: float = 0.3
    min_gap: float = 0.3


DEFAULT_RULE = CutRule()
MOTION_JUMPS = 8  # jumps
UNDONE_SHARE = 0.4  # a jump is undone when less than this share of it is left
NEAR = 1e-6  # seconds: 0.1 + 0.2 is not more than 0.3


def detect_scenes(
    frames: Iterable[Frame], duration: float, *, min_scene: float = 2.0, rule: CutRule = DEFAULT_RULE
) -> list[Span]:
    """Divide a video into scenes.

    Args:
        frames: all frames of the video in time order (any number: they are not kept), or its candidates.
        duration: length of the video, seconds, > 0.
        min_scene: shortest scene, seconds. Of cuts that are closer together, or closer to an end of the video, the
            largest jumps stay: a short scene joins the neighbour it resembles more.
        rule: what a cut is.

    Returns:
        Spans in time order that fill [0, duration) without a gap; one where there is no cut, or no frame at all.

    Raises:
        ValueError: duration or min_scene is out of its range.
    """
    if not 0 < duration < float("inf"):
        raise ValueError(f"duration must be > 0 and finite, in seconds; got {duration}")
    if min_scene < 0:
        raise ValueError(f"min_scene must be >= 0, in seconds; got {min_scene}")
    first, last = min_scene - NEAR, duration - min_scene + NEAR
    inner = (cut for cut in detect_cuts(frames, rule) if first <= cut.time <= last)
    times = [cut.time for cut in _keep_apart(inner, min_scene) if 0 < cut.time < duration]
    return list(zip([0.0, *times], [*times, duration], strict=True))


def detect_cuts(frames: Iterable[Frame], rule: CutRule = DEFAULT_RULE) -> list[Cut]:
    """Find all cuts of a video, also those between short scenes; arguments as in :func:`detect_scenes`."""
    sampled = isinstance(frames, Candidates)
    cuts = (
        Cut(step.time - step.gap / 2 if sampled else step.time, step.jump)
        for step, before, after in _add_surroundings(_compare_neighbours(frames), max(rule.window, rule.flash))
        if step.jump > _compute_limit(step, (*before, *after), rule) and not _is_flash(step, before, after, rule)
    )
    return _keep_apart(cuts, rule.min_gap)


@dataclass(frozen=True, slots=True)
class _Step:
    """From one frame to the next: its time, seconds since the frame before, jump, and the new frame's histograms."""

    time: float
    gap: float
    jump: float
    histograms: FrameHistograms


def _compare_neighbours(frames: Iterable[Frame]) -> Iterator[_Step]:
    last: _Step | None = None
    for frame, histograms in _with_histograms(frames):
        if last is None:
            last = _Step(frame.timestamp, 0.0, 0.0, histograms)
        else:
            gap = frame.timestamp - last.time
            last = _Step(frame.timestamp, gap, frame_difference(last.histograms, histograms), histograms)
        yield last


_BLOCK = np.arange(SIDE) * GRID // SIDE
_FIRST_BIN = (((_BLOCK[:, None] * GRID + _BLOCK)[..., None]) * 3 + np.arange(3)) * BINS  # (SIDE, SIDE, 3)


def frame_histograms(image: Image.Image) -> FrameHistograms:
    """Return cumulative histograms (blocks x channels, BINS - 1) of brightness and two colours, rising from 0 to 1."""
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX).convert("YCbCr")
    levels = np.asarray(small) // (256 // BINS)
    counts = np.bincount((_FIRST_BIN + levels).ravel(), minlength=GRID * GRID * 3 * BINS).reshape(-1, BINS)
    shares: FrameHistograms = np.cumsum(counts, axis=1, dtype=np.float32)[:, :-1] / np.float32((SIDE // GRID) ** 2)
    return shares


def candidate_histograms(frames: Candidates) -> FrameHistograms:
    """(T, blocks x channels, BINS - 1) histograms of candidates; kept with them, so that they are computed once."""
    if HISTOGRAMS not in frames.cache:
        frames.cache[HISTOGRAMS] = np.stack([frame_histograms(frame.image) for frame in frames])
    kept: FrameHistograms = frames.cache[HISTOGRAMS]
    return kept


def _with_histograms(frames: Iterable[Frame]) -> Iterator[tuple[Frame, FrameHistograms]]:
    if isinstance(frames, Candidates) and len(frames):
        yield from zip(frames, candidate_histograms(frames), strict=True)
    else:
        yield from ((frame, frame_histograms(frame.image)) for frame in frames)


def frame_difference(one: FrameHistograms, other: FrameHistograms) -> float:
    """Return the mean distance of two frames' colours by block: 0 the same, 1 black against white in all channels."""
    return float(np.abs(one - other).mean())


def _add_surroundings(steps: Iterator[_Step], reach: float) -> Iterator[tuple[_Step, deque[_Step], deque[_Step]]]:
    """Each step with those before and after it, ``reach`` seconds far (or one step more); holds no more than these."""
    before: deque[_Step] = deque()
    after: deque[_Step] = deque()

    def surrounded() -> Iterator[tuple[_Step, deque[_Step], deque[_Step]]]:
        step = after.popleft()
        while len(before) > 1 and step.time - before[0].time > reach + NEAR:
            before.popleft()
        yield step, before, after
        before.append(step)

    for new in steps:
        after.append(new)
        while new.time - after[0].time > reach + NEAR:
            yield from surrounded()
    while after:
        yield from surrounded()


def _compute_limit(step: _Step, others: Iterable[_Step], rule: CutRule) -> float:
    near = [other.jump for other in others if other.gap and abs(other.time - step.time) <= rule.window + NEAR]
    if not near or step.gap > rule.window + NEAR:
        return rule.sparse_threshold
    largest = nlargest(MOTION_JUMPS, near)
    return rule.threshold + rule.ratio * sum(largest) / len(largest)


def _is_flash(step: _Step, before: deque[_Step], after: deque[_Step], rule: CutRule) -> bool:
    """Whether the old picture is back within ``flash`` seconds, or the new one was there that long before."""
    old = before[-1]
    until, since = step.time + rule.flash + NEAR, old.time - rule.flash - NEAR
    pairs = [(old, later) for later in after if later.time <= until]
    pairs += [(earlier, step) for earlier in before if since <= earlier.time < old.time]
    return any(frame_difference(a.histograms, b.histograms) < UNDONE_SHARE * step.jump for a, b in pairs)


def _keep_apart(cuts: Iterable[Cut], gap: float) -> list[Cut]:
    """Keep the largest jumps that lie at least ``gap`` seconds apart, in time order; of equal ones the earlier."""
    kept: list[Cut] = []
    for cut in sorted(cuts, key=lambda cut: -cut.jump):
        place = bisect_left(kept, cut)
        near = kept[max(0, place - 1) : place + 1]
        if all(abs(cut.time - other.time) >= gap - NEAR for other in near):
            kept.insert(place, cut)
    return kept
