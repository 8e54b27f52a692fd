"""Seconds and spans as people give them: numbers, "1:30", "1h05m"; start, end and within as one list of spans. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from numbers import Real

from kframes_plugin.clips.geometry import check_spans, overlaps
from kframes_plugin.errors import SpanError
from kframes_plugin.text import quoted
from kframes_plugin.types import Span

Time = float | str

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)")
_UNITS = re.compile(
    r"(?:(\d+(?:\.\d+)?)\s*h(?:ours?|rs?)?)?\s*(?:(\d+(?:\.\d+)?)\s*m(?:in(?:ute)?s?)?)?\s*"
    r"(?:(\d+(?:\.\d+)?)\s*s(?:ec(?:ond)?s?)?)?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\s*(?:-|–|—|\bto\b)\s*")


def to_seconds(value: Time, name: str = "time") -> float:
    """Seconds of a number or of a text: 90, "90", "1:30", "1:02:03.5", "90s", "1h05m".

    Args:
        value: what was given.
        name: how a message calls it.

    Raises:
        TypeError: neither a number nor a text.
        SpanError: a text that is no time, a number below 0 or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, Real | str):
        raise TypeError(f'{name} must be seconds or a text such as "1:30"; got {value!r} ({type(value).__name__})')
    seconds = _read(value.strip()) if isinstance(value, str) else float(value)
    if seconds is None:
        raise SpanError(f'{name} must be seconds or a text such as "1:30" or "1h05m"; got {quoted(value)}')
    if not (math.isfinite(seconds) and seconds >= 0):
        raise SpanError(f"{name} must be finite seconds >= 0; got {quoted(value)}")
    return seconds


def _read(text: str) -> float | None:
    found = _CLOCK.fullmatch(text) or (_UNITS.fullmatch(text) if text else None)
    if found is None:
        try:
            return float(text)  # "-1", "nan", "1e3": the caller says what is wrong with them
        except ValueError:
            return None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


def to_span(text: str) -> tuple[float, float]:
    """The span of a text as "10-20", "1:30-2:00" or "1:30 to 2:00", seconds.

    Raises:
        SpanError: not two times with a dash between, or not start < end.
    """
    parts = _BETWEEN.split(text.strip())
    if len(parts) != 2:
        raise SpanError(
            f'a span must be two times with a dash between them, such as "10-20" or "1:30-2:00"; got {quoted(text)}'
        )
    return check_range(parts[0], parts[1])


def check_range(start: Time | None, end: Time | None) -> Span:
    """The span from start to end, seconds; None is the start or the end of the video, which is infinity here.

    Raises:
        TypeError, SpanError: see :func:`to_seconds`; or not start < end.
    """
    low = 0.0 if start is None else to_seconds(start, "start")
    high = math.inf if end is None else to_seconds(end, "end")
    if not low < high:
        raise SpanError(f"end must lie after start; got start={quoted(start)}, end={quoted(end)}")
    return low, high


def join_spans(
    within: Iterable[Span], start: Time | None, end: Time | None, duration: float, video: str = ""
) -> list[Span]:
    """What a request may look at: the parts of ``within`` between ``start`` and ``end`` that lie in the video.

    Args:
        within: spans, seconds; none: everywhere.
        start, end: seconds, or a text as "1:30"; None: no limit.
        duration: length of the video, seconds, > 0.
        video: how a message calls it.

    Returns:
        Spans in time order, apart from each other; none: the whole video.

    Raises:
        TypeError, ValueError: spans that cannot be.
        SpanError: a start or an end that cannot be, or nothing is left.
    """
    spans: Iterable[Span] = check_spans(within)
    if start is not None or end is not None:
        limits = check_range(start, end)
        spans = overlaps(spans or [(0.0, math.inf)], [limits])
        if not spans:
            raise SpanError(f"no span of within= lies between start={start!r} and end={end!r}")
    asked = list(spans)
    inside = [(low, min(high, duration)) for low, high in asked if low < duration]
    if asked and not inside:
        told = ", ".join(f"{low:g}-{high:g} s" if high < math.inf else f"from {low:g} s" for low, high in asked)
        raise SpanError(
            f"{video or 'the video'} lasts {duration:.1f} s; what was asked for ({told}) lies after its end"
        )
    return inside
