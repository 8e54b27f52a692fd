"""The lines near some times. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kframes_plugin.types import Frame, Line, Span

REACH = 5.0  # seconds around a frame: a sentence or two


def line_at(lines: Sequence[Line], time: float) -> str:
    """What is spoken at a time, in seconds: the line that began last and still stands; "" where none does."""
    spoken = [line for line in lines if line.start <= time < line.end]
    return max(spoken, key=lambda line: line.start).text if spoken else ""


def lines_near(lines: Iterable[Line], times: Sequence[float], spans: Sequence[Span] = ()) -> tuple[Line, ...]:
    """The lines within ``REACH`` seconds of a time, or in a span, in their order."""
    return tuple(
        line
        for line in lines
        if any(line.start - REACH <= time < line.end + REACH for time in times)
        or any(line.start < end and start < line.end for start, end in spans)
    )


def add_lines(frames: Sequence[Frame], lines: Sequence[Line]) -> tuple[Frame, ...]:
    """The frames, each with the line that is spoken when it comes on screen."""
    if not lines:
        return tuple(frames)
    return tuple(replace(frame, said=line_at(lines, frame.timestamp)) for frame in frames)
