"""A selection as a notebook shows it: what was found, the contact sheet, the clips. Everything is escaped."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from kframes_plugin.chat.images import data_url, jpeg
from kframes_plugin.output.contact_sheet import contact_sheet
from kframes_plugin.output.report.page import tell_found
from kframes_plugin.text import printable

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection

MOST_CLIPS = 8  # that are listed


def selection_html(selection: Selection) -> str:
    """A fragment of HTML of some 30 kB a row of frames, without scripts."""
    columns = 4 if len(selection.frames) <= 16 else 8
    sheet = contact_sheet(selection, columns, 960 // columns)
    rest = len(selection.clips) - MOST_CLIPS
    clips = "".join(clip._repr_html_() for clip in selection.clips[:MOST_CLIPS])
    values = {
        "query": escape(printable(selection.query)),
        "video": escape(printable(Path(selection.video).name)) or "frames",
        "found": escape(tell_found(selection)),
        "sheet": data_url(jpeg(sheet, long_side=None, quality=75)),
        "count": str(len(selection.frames)),
        "clips": clips + (f"<div>and {rest} more clips</div>" if rest > 0 else ""),
    }
    return Template(files("kframes_plugin.output").joinpath("notebook.html").read_text("utf-8")).substitute(values)
