"""All keyframes on one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from kframes_plugin.output.messages import clock
from kframes_plugin.output.timeline import COLOURS

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection


def contact_sheet(selection: Selection, columns: int = 4, width: int = 320) -> Image.Image:
    """All keyframes on one sheet, in time order, each under its number, time and clip.

    Args:
        selection: what to show.
        columns: pictures in a row, >= 1.
        width: width of one picture in pixels, >= 32; all get the height of the first one's shape.

    Raises:
        ValueError: columns or width out of range.
    """
    if columns < 1 or width < 32:
        raise ValueError(f"a contact sheet needs columns >= 1 and width >= 32; got {columns} and {width}")
    first = selection.frames[0].image
    height = min(max(round(width * first.height / first.width), 16), 2 * width)
    columns = min(columns, len(selection.frames))
    rows = -(-len(selection.frames) // columns)
    band, gap = 24, 8
    size = (columns * (width + gap) + gap, rows * (height + band + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for number, frame in enumerate(selection.frames):
        left = gap + (number % columns) * (width + gap)
        top = gap + (number // columns) * (height + band + gap)
        priority, label = _place(selection, frame.timestamp)
        title = f"{number + 1}   {clock(frame.timestamp)}   {label}"
        if pen.textlength(title, font) > width:
            title = f"{number + 1} {clock(frame.timestamp)}"
        pen.text((left + 2, top + 3), title, "black", font)
        if priority:
            pen.rectangle((left, top + band - 5, left + width - 1, top + band - 2), COLOURS[priority])
        picture = frame.image.copy()
        picture.thumbnail((width, height))
        sheet.paste(picture, (left + (width - picture.width) // 2, top + band + (height - picture.height) // 2))
    return sheet


def _place(selection: Selection, time: float) -> tuple[str, str]:
    """The priority of the clip that a time lies in, and its name for people; empty outside all clips."""
    for number, clip in enumerate(selection.clips, 1):
        if clip.start <= time < clip.end:
            return clip.priority, f"clip {number}, {clip.priority}"
    return "", ""
