"""Chooses frames that cost little to decode. Pure: only times and the packets that each frame needs are known here.

An I-frame is decoded by itself; any other frame needs all packets from the I-frame before it on. So a frame that stands
for a stretch of time is the I-frame nearest to the stretch's middle. Where a stretch has none, it is an early frame of
the stretch, as long as the next chosen frame is not too far from it. Of the frames right behind that, the one that
needs the fewest packets is taken: one that others refer to, which is decoded in any case, not a B-frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.geometry import inside, lay_end_to_end
from kframes_plugin.clips.sharing import Floats, Ints
from kframes_plugin.types import Span

# A frame is taken early only if the next one is at most this many stretches away: each second saved in reading is a
# second longer to the next frame. Share of clips as long as a stretch that get a candidate, and packets read:
# 10 minutes, I-frames every 10 s, 256 candidates: middles .939 and 11,628, reach 1.15 .917 and 10,851, 1.3 .890 and
# 10,608; nothing reads fewer than 10,000 at .90. One hour, every 30 s: middles .882 and 49,280, 1.15 .914 and 40,254,
# 1.3 .879 and 37,098, no limit .781 and 28,304.
REACH = 1.15
# The same for keyframes in clips of 120 s, 21 each, I-frames every 10 s: exact .99 and 6,435 packets, 1.15 .839 and
# 2,533, 1.3 .808 and 2,232, 1.5 .752 and 1,869. Clips half as long, or half as long again, get as many as at 1.15.
KEYFRAME_REACH = 1.3
# Middles stay where no more than this share of the stretches has an I-frame: to move them would save under 7 %.
SCARCE = 0.2
# Of a stretch: how far a frame may move towards its end to need fewer packets. Three B-frames of 25 a second are .16 s.
BEHIND = 0.25
_NANOSECOND = 1e-9  # forgives rounding where a frame begins exactly in the middle of a span: 4.5 * 2.4 / 5 < 2.16


def spread_candidates(
    count: int, timestamps: Floats, needed: Ints, duration: float, within: Sequence[Span] = ()
) -> Ints:
    """Spread candidates evenly over a video, or over parts of it, which count as a video of their own.

    The time is cut into ``count`` equal spans, and one frame stands for each; see the top of this module.

    Args:
        count: how many, >= 1.
        timestamps: (n,) seconds, rising.
        needed: (n,) packets that are read for the frame, from the I-frame before it on; 1: it is an I-frame. Without
            I-frames the frames on screen in the middles are taken.
        duration: seconds, > timestamps[-1].
        within: spans, seconds, apart and in time order; none: the whole video.

    Returns:
        (min(count, frames within),) indices into ``timestamps``, rising strictly; empty where no frame lies within.
    """
    within = within or [(0.0, duration)]
    pool = np.flatnonzero(inside(timestamps, within))
    if not len(pool):
        return pool
    clock, length = lay_end_to_end(timestamps[pool], within)
    count = min(count, len(pool))
    stride = length / count
    middles = np.asarray((np.arange(count) + 0.5) * stride + _NANOSECOND, np.float64)
    exact = (np.searchsorted(clock, middles, side="right") - 1).clip(min=0)
    edges = np.arange(count + 1) * stride - _NANOSECOND
    first, last = np.searchsorted(clock, edges[:-1]), np.searchsorted(clock, edges[1:])
    chosen = _choose_cheap(middles, exact, first, last, clock, needed[pool], np.full(count, stride), REACH)
    # rank - place must never fall (that is: ranks rise strictly) and must leave room for the frames to come
    places = np.arange(count)
    return pool[np.maximum.accumulate(chosen - places).clip(0, len(pool) - count) + places]


def snap_to_i_frames(
    chosen: Sequence[float],
    edges: Sequence[float],
    timestamps: Floats,
    needed: Ints,
    duration: float,
) -> list[float]:
    """Move chosen frames to cheap ones inside their own stretches.

    The stretch of a frame reaches halfway to the chosen frames on either side of it, and never across an edge. A frame
    that is still on screen at the next edge stays: it may stand for a clip shorter than a frame.

    Args:
        chosen: (k,) of ``timestamps``, rising strictly.
        edges: seconds that no frame may cross, in any order: starts and ends of clips, of scenes, of parts.
        timestamps: (n,) seconds, rising.
        needed: (n,) packets, as for :func:`spread_candidates`.
        duration: seconds, > timestamps[-1].

    Returns:
        (k,) of ``timestamps``, rising strictly, as many between any two edges as before.
    """
    times = np.asarray(chosen, dtype=np.float64)
    exact = np.searchsorted(timestamps, times)
    low, high, wall = _find_stretches(times, edges, duration)
    ends = np.concatenate([timestamps, [duration]])[exact + 1]
    stays = (ends > wall + _NANOSECOND) & (wall < duration)
    first = np.where(stays, exact, np.searchsorted(timestamps, low))
    last = np.where(stays, exact + 1, np.searchsorted(timestamps, high))
    cheap = _choose_cheap(times, exact, first, last, timestamps, needed, high - low, KEYFRAME_REACH)
    moved: list[float] = timestamps[cheap].tolist()
    return moved


def move_off_damage(
    chosen: Sequence[float],
    edges: Sequence[float],
    timestamps: Floats,
    is_damaged: NDArray[np.bool_],
    duration: float,
) -> list[float]:
    """Move damaged frames to the nearest sound ones of their own stretches; those of a stretch without one stay.

    Args and returns are as for :func:`snap_to_i_frames`; ``is_damaged``: (n,).
    """
    times, sound = np.asarray(chosen, dtype=np.float64), np.flatnonzero(~is_damaged)
    if not len(sound):
        return list(chosen)
    ranks = np.searchsorted(timestamps, times)
    low, high, _ = _find_stretches(times, edges, duration)
    first, last = np.searchsorted(timestamps, low), np.searchsorted(timestamps, high)
    nearest, has_one = _find_nearest(times, timestamps, sound, first, last)
    moved: list[float] = timestamps[np.where(is_damaged[ranks] & has_one, nearest, ranks)].tolist()
    return moved


def _find_stretches(times: Floats, edges: Sequence[float], duration: float) -> tuple[Floats, Floats, Floats]:
    """Where the stretch of each frame begins and ends, seconds, and the next edge behind the frame."""
    halfway = (times[1:] + times[:-1]) / 2
    walls = np.unique([0.0, *(edge for edge in edges if 0 < edge < duration), duration])
    place = np.searchsorted(walls, times, side="right")
    low = np.maximum(np.concatenate([[0.0], halfway]), walls[place - 1])
    return low, np.minimum(np.concatenate([halfway, [duration]]), walls[place]), walls[place]


def _choose_cheap(
    targets: Floats, exact: Ints, first: Ints, last: Ints, clock: Floats, needed: Ints, lengths: Floats, reach: float
) -> Ints:
    """For each stretch, of frames first..last-1 and so many seconds, a cheap frame near the target; else ``exact``."""
    i_frames = np.flatnonzero(needed == 1)
    if not len(i_frames):
        return exact
    nearest, has_one = _find_nearest(targets, clock, i_frames, first, last)
    chosen = np.where(has_one, nearest, exact)
    scarce = has_one.mean() <= SCARCE
    for stretch in np.flatnonzero(~has_one)[::-1].tolist():  # the next one is decided first
        at, length = int(exact[stretch]), lengths[stretch]
        if not scarce and stretch + 1 < len(chosen):
            earliest = clock[chosen[stretch + 1]] - reach * length - _NANOSECOND
            at = min(at, max(int(first[stretch]), int(np.searchsorted(clock, earliest))))
        end = min(int(last[stretch]), int(np.searchsorted(clock, clock[at] + BEHIND * length, side="right")))
        chosen[stretch] = at + np.argmin(needed[at : max(end, at + 1)])
    return chosen


def _find_nearest(
    targets: Floats, clock: Floats, i_frames: Ints, first: Ints, last: Ints
) -> tuple[Ints, NDArray[np.bool_]]:
    """The I-frame of each stretch that is nearest to its target, and whether it has one; of equals the earlier."""
    places = np.searchsorted(clock[i_frames], targets) + np.array([[-1], [0]])
    known = places.clip(0, len(i_frames) - 1)
    frames = i_frames[known]
    away = np.abs(clock[frames] - targets)
    away[(places != known) | (frames < first) | (frames >= last)] = np.inf
    nearest = np.where(away[0] <= away[1] + 4 * _NANOSECOND, frames[0], frames[1])
    return nearest, np.isfinite(away).any(axis=0)
