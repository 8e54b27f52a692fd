"""Write key clips in the wire form: a JSON list, best clip first, reason last so that it can be cut.

    [{"start":61.0,"end":74.5,"priority":"P1","reason":"the goal"}]

Where spans alone are asked for it is ``[[61.0,74.5]]``. This is the target of training; ``parse_clips`` reads it back.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from kframes_plugin.prompt.build import DECIMALS, DEFAULT_FORMAT, PromptFormat
from kframes_plugin.prompt.extract import MAX_REASON, tidy_text
from kframes_plugin.types import Clip, Span


def write_clips(
    clips: Iterable[Clip],
    duration: float,
    *,
    fmt: PromptFormat = DEFAULT_FORMAT,
    times: Sequence[float] | None = None,
) -> str:
    """The wire form of clips: the target of training, and the inverse of :func:`parse_clips`.

    Args:
        clips: best first; they are written in this order.
        duration: length of the video, seconds.
        fmt: how times are written. Seconds go outwards to a tenth, so the written span covers the clip; in index
            mode a clip takes the candidates whose timestamps lie in it, or the one that stands for its middle.
        times: timestamps of the candidates, seconds, ascending; needed in index mode.
    """
    rows: list[Any] = []
    for clip in clips:
        start, end = _indices(clip, needed(times)) if fmt.time_format == "index" else _tenths(clip)
        if fmt.answer == "spans":
            rows.append([start, end])
            continue
        row: dict[str, Any] = {"start": start, "end": end, "priority": clip.priority}
        rows.append({**row, "reason": tidy_text(clip.reason, MAX_REASON)} if fmt.reasons else row)
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def needed(times: Sequence[float] | None) -> Sequence[float]:
    """The timestamps, which index mode cannot do without."""
    if not times:
        raise ValueError('time_format "index" needs times, the timestamps of the candidates; got none')
    return times


def _tenths(clip: Clip) -> Span:
    """Start and end outwards to a tenth of a second (less a millionth, for 0.3 * 10 is not 3)."""
    scale = 10**DECIMALS
    return math.floor(clip.start * scale + 1e-6) / scale, math.ceil(clip.end * scale - 1e-6) / scale


def _indices(clip: Clip, times: Sequence[float]) -> tuple[int, int]:
    start, end = bisect_left(times, clip.start), bisect_left(times, clip.end)
    if start == end:  # between two candidates: the nearer one
        middle = (clip.start + clip.end) / 2
        start = min(range(len(times)), key=lambda i: abs(times[i] - middle))
        end = start + 1
    return start, end
