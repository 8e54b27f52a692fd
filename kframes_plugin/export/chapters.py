"""The clips as WebVTT chapters, for players: ``<track kind="chapters">``."""

from __future__ import annotations

from html import escape

from kframes_plugin.export.media import Media
from kframes_plugin.export.timelines import described, in_time_order
from kframes_plugin.selection import Selection
from kframes_plugin.text import printable


def webvtt(selection: Selection, media: Media) -> str:
    """A chapter a clip, in time order and on the clock of players, which counts from the start of the file."""
    cues = [
        f"{_clock(clip.start + media.offset)} --> {_clock(clip.end + media.offset)}\n{_text(described(clip))}\n"
        for clip in in_time_order(selection.clips)
    ]
    return "\n".join(["WEBVTT\n", f"NOTE {_text(selection.query)}\n", *cues])


def _text(text: str) -> str:
    """One line in which nothing is a tag or an arrow."""
    return escape(printable(text), quote=False)


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    whole, rest = divmod(thousandths, 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{rest:03d}"
