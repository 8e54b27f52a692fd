"""Stretches of a video before its length and scenes are known, and their seconds once they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kframes_plugin.clips.geometry import overlaps
from kframes_plugin.types import Span

SLACK = 1.0  # seconds: who says "at 1:00" of a film of 59.6 s means its end
PLACE = 0.2  # share of the video that its beginning and its end are
MIDDLE = 1 / 3  # share that its middle is
# A point is a window of some seconds to both sides: how many depends on the unit in which it was said.
EXACT = ((1.0, 5.0), (60.0, 30.0), (3600.0, 300.0))
LOOSE = 2.0  # times as many for "around"
LOOSE_SHARE = 0.05  # of the length of the video, for "halfway through"


@dataclass(frozen=True)
class Point:
    """A point of time: ``share`` of the length of what it lies in, and so many seconds more or less.

    ``grain`` is the unit in which it was said, seconds; 0 for a share.
    """

    share: float = 0.0
    seconds: float = 0.0
    grain: float = 0.0

    def within(self, span: Span) -> float:
        """Seconds from the start of the video, where the point counts from the start of a span."""
        return span[0] + self.share * (span[1] - span[0]) + self.seconds

    def moved(self, seconds: float, share: float = 0.0) -> Point:
        """The point later by so much."""
        return replace(self, seconds=self.seconds + seconds, share=self.share + share)


@dataclass(frozen=True)
class Stretch:
    """From one point to another, of the whole video or of a part of it.

    ``named`` is the point that was said, where the stretch is the window around it: it must lie in the video.
    """

    start: Point
    end: Point
    of: Stretch | SceneRange | None = None
    named: Point | None = None


@dataclass(frozen=True)
class SceneRange:
    """Scenes ``first`` to ``last``, both counted from 1, or from -1 backwards, of the video or of a part of it."""

    first: int
    last: int
    of: Stretch | SceneRange | None = None


@dataclass(frozen=True)
class Beside:
    """All that lies before or after a part of the video; with ``including`` the part too."""

    part: Stretch | SceneRange
    later: bool
    including: bool = False


Named = Stretch | SceneRange
Interval = Named | Beside
START, END = Point(), Point(share=1.0)
WHOLE = Stretch(START, END)
Scenes = Callable[[], Sequence[Span]]


def around(point: Point, *, loosely: bool = False) -> Stretch:
    """The window around a point."""
    times = LOOSE if loosely else 1.0
    if not point.grain:
        return Stretch(point.moved(0, -LOOSE_SHARE * times), point.moved(0, LOOSE_SHARE * times), named=point)
    width = next((width for grain, width in EXACT if point.grain <= grain), EXACT[-1][1]) * times
    return Stretch(point.moved(-width), point.moved(width), named=point)


def place(share: float) -> Stretch:
    """The beginning (0), the middle (0.5) or the end (1)."""
    size = MIDDLE if share == 0.5 else PLACE
    start = share * (1 - size)
    return Stretch(Point(start), Point(start + size))


def needs_scenes(interval: Interval | None) -> bool:
    """Whether the seconds of a stretch depend on the scenes of the video."""
    if isinstance(interval, Beside):
        return needs_scenes(interval.part)
    return interval is not None and (isinstance(interval, SceneRange) or needs_scenes(interval.of))


def resolve(interval: Interval, duration: float, scenes: Scenes) -> Span | None:
    """The seconds of a stretch; None where it lies outside of the video.

    Args:
        interval: what was said.
        duration: length of the video, seconds, > 0.
        scenes: gives the scenes of the video, spans in time order; asked only where a scene was named.
    """
    if isinstance(interval, Beside):
        part = resolve(interval.part, duration, scenes)
        if part is None:
            return None
        near = part[0] if interval.including == interval.later else part[1]
        start, end = (near, duration) if interval.later else (0.0, near)
        return (start, end) if start < end else None
    frame = (0.0, duration) if interval.of is None else resolve(interval.of, duration, scenes)
    if frame is None:
        return None
    if isinstance(interval, SceneRange):
        inside = overlaps(scenes(), [frame])
        first, last = (n - 1 if n > 0 else len(inside) + n for n in (interval.first, interval.last))
        if interval.first != interval.last:  # of "the last three scenes" of two, these two
            first, last = max(first, 0), min(last, len(inside) - 1)
        return (inside[first][0], inside[last][1]) if 0 <= first <= last < len(inside) else None
    if interval.named is not None and not frame[0] <= interval.named.within(frame) <= frame[1] + SLACK:
        return None
    start, end = max(interval.start.within(frame), frame[0]), min(interval.end.within(frame), frame[1])
    return (start, end) if start < end else None
