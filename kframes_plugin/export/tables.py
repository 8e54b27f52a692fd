"""Clips and frames as CSV, for spreadsheets and pandas (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from kframes_plugin.clips.geometry import clip_of
from kframes_plugin.selection import Selection
from kframes_plugin.text import printable

CLIPS = ("video", "query", "number", "start", "end", "priority", "score", "reason")
FRAMES = ("video", "query", "number", "timestamp", "duration", "clip", "said")


def clips_csv(selection: Selection) -> str:
    """One row a clip, best first; times are seconds from the first frame, and no score is an empty cell."""
    return _table(
        CLIPS,
        (
            (selection.video, selection.query, number, clip.start, clip.end, clip.priority, clip.score, clip.reason)
            for number, clip in enumerate(selection.clips, 1)
        ),
    )


def frames_csv(selection: Selection) -> str:
    """One row a keyframe in time order; ``clip`` is the number of its clip, empty where it lies in none."""
    return _table(
        FRAMES,
        (
            (
                *(selection.video, selection.query, number, frame.timestamp, frame.duration),
                *(clip_of(frame, selection.clips), frame.said),
            )
            for number, frame in enumerate(selection.frames, 1)
        ),
    )


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows(map(_cell, row) for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    """Text in one line; a ' goes before what a spreadsheet would run as a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text
