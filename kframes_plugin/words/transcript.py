"""The lines that are spoken in a video, on the clock of its first frame."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

from kframes_plugin.errors import VideoError
from kframes_plugin.types import Line, Note
from kframes_plugin.video import OpenVideo
from kframes_plugin.words.embedded import MAX_LINES, STAY, read_embedded
from kframes_plugin.words.files import find_files, read_file
from kframes_plugin.words.options import Spoken, WordOptions

LONGEST = 2_000  # characters of a line that are kept
Read = tuple[tuple[Line, ...], tuple[Note, ...]]


def read_transcript(video: OpenVideo, options: WordOptions) -> Read:
    """The lines of a video in time order, seconds from its first frame, and what was out of the ordinary.

    Costs what its source does: a list of the folder and a small file; for subtitles inside a file 2 ms (MP4) or the
    time to read the file once (Matroska, MPEG-TS). A file without subtitle streams is not read again.

    Raises:
        VideoError: a subtitle file that was named cannot be read.
        TypeError, ValueError: what a list or a callable gives are no (start, end, text).
    """
    source, file = options.transcript, video.file
    if source is None:
        return (), ()
    offset = file.offset if file is not None else 0.0
    if callable(source):
        if file is None:
            raise ValueError("a callable transcript needs a video file; give the lines of these frames as a list")
        return make_lines(check_spoken(source(file.local)), video.duration, _sound_offset(video)), ()
    if isinstance(source, str | os.PathLike):
        if source == "auto":
            return _find(video, options.language)
        lines, notes = read_file(source)
        return make_lines(lines, video.duration, offset), tuple(notes)
    return make_lines(check_spoken(source), video.duration, 0.0), ()


def _find(video: OpenVideo, language: str | None) -> Read:
    """Subtitles inside the file, else of the first file beside it that can be read."""
    file = video.file
    if file is None:
        return (), ()
    spoken, notes = read_embedded(file, language) if file.has_subtitles else ([], [])
    if lines := make_lines(spoken, video.duration, file.starts):
        return lines, tuple(notes)
    for path in find_files(file.path, language) if os.path.isfile(file.path) else ():
        try:
            spoken, more = read_file(path)
        except VideoError as error:
            notes.append(Note("transcript-unreadable", f"a subtitle file next to the video was skipped: {error}"))
            continue
        return make_lines(spoken, video.duration, file.offset), (*notes, *more)
    if language is not None:
        notes.append(Note("no-transcript", f"there are no subtitles in {language!r} in the file or next to it"))
    return (), tuple(notes)


def _sound_offset(video: OpenVideo) -> float:
    """How long after its sound the picture starts, seconds; below 0 where the sound starts later."""
    from kframes_plugin.video.opening import open_container

    file = video.file
    assert file is not None
    with open_container(file.path, file.local, file.limits) as container:
        sound = container.streams.best("audio")
        if sound is None or sound.start_time is None or sound.time_base is None:
            return file.offset
        return file.starts - float(sound.start_time * sound.time_base)


def check_spoken(given: Iterable[Any]) -> list[Spoken]:
    """What a person or a recogniser gave, as (start, end, text).

    Raises:
        TypeError, ValueError: with the value and the rule.
    """
    lines = []
    for one in given:
        if isinstance(one, Line):
            one = (one.start, one.end, one.text)
        if not isinstance(one, tuple | list) or len(one) != 3 or not isinstance(one[2], str):
            raise TypeError(f"a line of a transcript must be (start, end, text); got {one!r}")
        start, end = float(one[0]), float(one[1])
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError(f"a line of a transcript needs finite seconds; got {one!r}")
        lines.append((start, end, one[2]))
    return lines


def make_lines(spoken: Iterable[Spoken], duration: float, offset: float) -> tuple[Line, ...]:
    """Lines on the clock of the first frame, in time order.

    Lines outside the video are left out and lines across its ends cut; empty ones too. A line without an end stands
    until the next, at most ``STAY`` seconds. What a line only repeats of the one before it (captions that roll up) is
    left out.

    Args:
        spoken: (start, end, text), seconds by another clock.
        duration: of the video, seconds.
        offset: time of the first frame by that clock, seconds.
    """
    ordered = sorted((start - offset, end - offset, text) for start, end, text in spoken)[:MAX_LINES]
    lines: list[Line] = []
    before: list[str] = []
    for place, (start, end, text) in enumerate(ordered):
        if end <= start:
            later = next((other for other, _, _ in ordered[place + 1 : place + 20] if other > start), math.inf)
            end = min(start + STAY, later)
        rows = [" ".join(row.split()) for row in text[:LONGEST].splitlines()]
        rolling = bool(lines) and start - lines[-1].end < 0.2
        words = " ".join(row for row in rows if row and not (rolling and row in before))
        start, end = max(start, 0.0), min(end, duration)
        if start >= end:
            continue
        if words:
            lines.append(Line(start, end, words))
        elif rolling and lines and any(rows):
            lines[-1] = Line(lines[-1].start, max(lines[-1].end, end), lines[-1].text)
        before = [row for row in rows if row]
    return tuple(lines)
