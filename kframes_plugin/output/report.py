"""What people look at: contact sheet and one HTML page."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from kframes_plugin.chat.images import data_url, jpeg
from kframes_plugin.output.messages import clock
from kframes_plugin.output.timeline import COLOURS, timeline_svg
from kframes_plugin.output.whole import write_whole
from kframes_plugin.text import printable

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
        pen.text((left + 2, top + 3), f"{number + 1}   {clock(frame.timestamp)}   {label}", "black", font)
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


def write_html(selection: Selection, path: str | Path) -> Path:
    """One page without any outside file: timeline, clips with reasons, keyframes, notes and cost. Returns the path."""
    clips = "".join(
        f'<tr><td>{number}</td><td><b style="color:{COLOURS[clip.priority]}">{clip.priority}</b></td>'
        f"<td>{clock(clip.start)} – {clock(clip.end)}</td><td>{'' if clip.score is None else f'{clip.score:.2f}'}</td>"
        f"<td>{_safe(clip.reason)}</td></tr>"
        for number, clip in enumerate(selection.clips, 1)
    )
    figures = "".join(
        f'<figure><img src="{data_url(jpeg(frame.image, long_side=640))}" alt="frame at {clock(frame.timestamp)}">'
        f"<figcaption>{number}. <b>{clock(frame.timestamp)}</b> {_place(selection, frame.timestamp)[1]}</figcaption>"
        "</figure>"
        for number, frame in enumerate(selection.frames, 1)
    )
    cost = selection.cost
    steps = ", ".join(f"{_safe(step)} {seconds:.2f} s" for step, seconds in cost.seconds.items())
    page = PAGE.format(
        title=_safe(selection.query),
        video=_safe(selection.video),
        duration=clock(selection.duration),
        k=selection.k,
        strategy=selection.strategy,
        selector=_safe(str(selection.selector.get("name", "unknown"))),
        svg=timeline_svg(selection),
        clips=CLIPS.format(rows=clips) if clips else "<p>No clip was found for this query.</p>",
        frames=figures,
        notes="".join(
            f"<li>{_safe(str(note))}</li>" for note in selection.notes or ["nothing was out of the ordinary"]
        ),
        cost=f"{cost.frames_decoded} frames decoded, {cost.candidates} candidates, {cost.model_calls} model calls, "
        f"{cost.tokens_in} tokens in, {cost.tokens_out} out; {steps}",
    )
    target = Path(path)
    write_whole(target, page)
    return target


def _safe(text: str) -> str:
    """A text of others inside a page."""
    return escape(printable(text))


CLIPS = "<table><tr><th></th><th></th><th>time</th><th>score</th><th>reason</th></tr>{rows}</table>"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>kframes: {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1 {{ font-size: 1.4rem; margin-bottom: 0 }} h2 {{ font-size: 1.05rem; margin-top: 2rem }}
.where, .cost {{ color: #666 }} svg {{ max-width: 100%; height: auto }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #eee }}
.frames {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 12px }}
figure {{ margin: 0 }} img {{ width: 100%; border-radius: 4px; display: block }}
figcaption {{ font-size: .85rem; color: #444 }}
</style></head><body>
<h1>{title}</h1>
<p class="where">{video} · {duration} · k = {k} · {strategy} · selector: {selector}</p>
{svg}
<h2>Key clips</h2>{clips}
<h2>Keyframes</h2><div class="frames">{frames}</div>
<h2>Notes and cost</h2><ul>{notes}</ul><p class="cost">{cost}</p>
</body></html>
"""
