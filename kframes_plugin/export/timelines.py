"""The clips cut together in time order, as timelines for editors: EDL (CMX 3600) and OTIO (OpenTimelineIO)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from kframes_plugin.export.media import Media
from kframes_plugin.selection import Selection
from kframes_plugin.text import brief, printable
from kframes_plugin.types import Clip, Frame

_START = 3600  # seconds: where the first cut of an EDL stands, as editors are used to
_LONGEST = 200  # characters of a line


def edl(selection: Selection, media: Media) -> str:
    """A CMX 3600 list: a cut of the picture a clip, time codes without drop frames that count the video's frames."""
    base = round(media.rate)  # 30 for 29.97: a time code counts frames
    lines = [f"TITLE: {_line(selection.query)}", "FCM: NON-DROP FRAME", ""]
    place = _START * base
    for number, clip in enumerate(in_time_order(selection.clips), 1):
        first, last = media.span(clip)
        codes = " ".join(time_code(frame, base) for frame in (first, last, place, place + last - first))
        lines.append(f"{number:03d}  AX       V     C        {codes}")
        lines += [f"* FROM CLIP NAME: {_line(media.name)}", f"* COMMENT: {_line(described(clip))}", ""]
        place += last - first
    return "\r\n".join(lines) + "\r\n"


def time_code(frame: int, base: int) -> str:
    """The number of a frame as HH:MM:SS:FF, ``base`` frames a second."""
    seconds, rest = divmod(frame, base)
    width = max(2, len(str(base - 1)))
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:0{width}d}"


def otio(selection: Selection, media: Media) -> str:
    """A timeline of one video track; a marker a keyframe, and what kframes knows of a clip as its metadata."""
    track = {
        **_object("Track.1", printable(selection.query)),
        "kind": "Video",
        "source_range": None,
        "effects": [],
        "markers": [],
        "enabled": True,
        "children": [_clip(clip, selection.frames, media) for clip in in_time_order(selection.clips)],
    }
    stack = {
        **_object("Stack.1", "tracks"),
        "source_range": None,
        "effects": [],
        "markers": [],
        "enabled": True,
        "children": [track],
    }
    known = {"kframes": {"query": printable(selection.query)}}
    timeline = {**_object("Timeline.1", printable(selection.query), known), "global_start_time": None, "tracks": stack}
    return json.dumps(timeline, indent=1) + "\n"


def _clip(clip: Clip, frames: Sequence[Frame], media: Media) -> dict[str, Any]:
    known = {name: getattr(clip, name) for name in ("start", "end", "priority", "score")}
    known["reason"] = printable(clip.reason)
    inside = [media.number(frame.timestamp) for frame in frames if clip.start <= frame.timestamp < clip.end]
    first, last = media.span(clip)
    markers = [
        {**_object("Marker.2", "keyframe"), "color": "RED", "marked_range": _range(number, number + 1, media.rate)}
        for number in inside
    ]
    reference = {
        **_object("ExternalReference.1" if media.url else "MissingReference.1", printable(media.name)),
        "available_range": _range(0, media.frames, media.rate),
        **({"target_url": media.url} if media.url else {}),
    }
    return {
        **_object("Clip.2", _line(described(clip)), {"kframes": known}),
        "source_range": _range(first, last, media.rate),
        "effects": [],
        "markers": markers,
        "enabled": True,
        "media_references": {"DEFAULT_MEDIA": reference},
        "active_media_reference_key": "DEFAULT_MEDIA",
    }


def _object(schema: str, name: str, known: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"OTIO_SCHEMA": schema, "name": name, "metadata": {} if known is None else known}


def _range(first: int, last: int, rate: Fraction) -> dict[str, Any]:
    start, length = (
        {"OTIO_SCHEMA": "RationalTime.1", "rate": float(rate), "value": float(value)} for value in (first, last - first)
    )
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": start, "duration": length}


def in_time_order(clips: Sequence[Clip]) -> list[Clip]:
    """The clips by their starts, not by what they are worth."""
    return sorted(clips, key=lambda clip: (clip.start, clip.end))


def described(clip: Clip) -> str:
    """Priority, score and reason in one line."""
    score = "" if clip.score is None else f" {clip.score:.2f}"
    return f"{clip.priority}{score}" + (f": {printable(clip.reason)}" if clip.reason.strip() else "")


def _line(text: str) -> str:
    return brief(printable(text), _LONGEST)
