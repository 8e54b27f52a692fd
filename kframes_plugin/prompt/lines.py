"""Lines of a transcript among the frames that a model reads: which, and where. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from kframes_plugin.types import Line

TOKENS = 2_000  # for lines, as many as eight frames of most models; five minutes of speech
Count = Callable[[str], int]  # text -> tokens
Block = dict[str, Any]


def estimate_tokens(text: str) -> int:
    """Tokens of a text where no tokenizer is at hand: one for three bytes, more than most tokenizers need."""
    return math.ceil(len(text.encode()) / 3)


def choose_lines(
    lines: Sequence[Line], times: Sequence[float], tokens: int, count: Count = estimate_tokens
) -> list[Line]:
    """The lines nearest to some times that fit a budget, in their order.

    A line that does not fit is passed over; a nearer one never gives way to it.

    Args:
        lines: in time order.
        times: of the frames, seconds, rising, at least one.
        tokens: that all lines together may take, as :func:`write_line` writes them, >= 0.
        count: text -> its tokens.
    """
    kept, left = [], tokens
    for far, place in sorted((_distance(line, times), place) for place, line in enumerate(lines)):
        if left < 8 and far > 0:  # no line is shorter than its time
            break
        if (cost := count(write_line(lines[place]))) <= left:
            kept.append(place)
            left -= cost
    return [lines[place] for place in sorted(kept)]


def write_line(line: Line) -> str:
    """A line as a model reads it: '[61.2-64.0 s] said: "the budget is short"' and a new line."""
    return f'[{line.start:.1f}-{line.end:.1f} s] said: "{line.text}"\n'


def add_lines(blocks: Sequence[Sequence[Block]], times: Sequence[float], lines: Sequence[Line]) -> list[Block]:
    """Chat blocks of frames with the lines between them, each before the first frame that comes after its start.

    Args:
        blocks: those of each frame.
        times: of the frames, seconds, rising, one a group of blocks.
        lines: in time order. All lines between two frames are one block of text.
    """
    between: dict[int, str] = {}
    for line in lines:
        place = bisect_right(times, line.start)
        between[place] = between.get(place, "") + write_line(line)
    content: list[Block] = []
    for place in range(len(blocks) + 1):
        if place in between:
            content.append({"type": "text", "text": between[place]})
        if place < len(blocks):
            content += blocks[place]
    return content


def write_transcript(lines: Sequence[Line]) -> str:
    """The lines as one text, for prompts whose frames are one video."""
    return "What is said:\n" + "".join(map(write_line, lines)) if lines else ""


def _distance(line: Line, times: Sequence[float]) -> float:
    """Seconds from a line to the nearest time; 0 where one lies in it."""
    place = bisect_right(times, line.start)
    near = [max(line.start - time, time - line.end, 0.0) for time in times[max(0, place - 1) : place + 1]]
    return min(near)
