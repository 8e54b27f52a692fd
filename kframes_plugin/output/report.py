"""Pictures of a selection for people: timeline, contact sheet, one HTML page."""

from __future__ import annotations

import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image, ImageDraw, ImageFont

from kframes_plugin.chat.images import data_url, jpeg
from kframes_plugin.output.messages import clock

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection

# One colour a meaning, told apart by colour-blind people too (Okabe and Ito's palette).
COLOURS = {"P1": "#d55e00", "P2": "#56b4e9", "candidates": "#999999", "keyframes": "#000000"}
SCENE_COLOURS = ("#d9d9d9", "#f0f0f0")
ROWS = ("keyframes", "clips", "scenes", "candidates")  # top down


def timeline(selection: Selection) -> Figure:
    """Four rows over time: keyframes, clips (P1, P2), scenes, candidates. Returns a figure of 10 x 2.4 inches."""
    figure = Figure(figsize=(10, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    level = {name: len(ROWS) - 1 - row for row, name in enumerate(ROWS)}
    for number, (start, end) in enumerate(selection.scenes):
        colour = SCENE_COLOURS[number % 2]
        axes.broken_barh([(start, end - start)], (level["scenes"] - 0.3, 0.6), color=colour, linewidth=0)
    for priority in ("P2", "P1"):
        spans = [(clip.start, clip.length) for clip in selection.clips if clip.priority == priority]
        axes.broken_barh(spans, (level["clips"] - 0.3, 0.6), color=COLOURS[priority], label=priority)
        for start, length in spans:  # a needle in an hour is narrower than a pixel
            axes.plot(start + length / 2, level["clips"], marker="|", markersize=13, color=COLOURS[priority])
    for name, size in (("keyframes", 16), ("candidates", 6)):
        times = selection.timestamps if name == "keyframes" else selection.candidates
        axes.plot(times, [level[name]] * len(times), "|", markersize=size, color=COLOURS[name])
    for time in selection.timestamps:
        axes.axvline(time, color="#cccccc", linewidth=0.5, zorder=0)
    axes.set_yticks(list(level.values()), [f"{name} ({_count(selection, name)})" for name in level])
    axes.set(xlim=(0, selection.duration), ylim=(-0.6, len(ROWS) - 0.4), title=_title(selection))
    axes.title.set_fontsize(10)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds)))
    axes.xaxis.set_major_locator(MaxNLocator(10))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if selection.clips:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, reverse=True)
    return figure


def _title(selection: Selection) -> str:
    query = selection.query if len(selection.query) <= 90 else selection.query[:89] + "…"
    font = get_font(findfont(FontProperties()))
    drawable = "".join(letter if font.get_char_index(ord(letter)) else "?" for letter in query)
    # matplotlib reads $...$ as mathematics
    return f"{drawable}   [k = {selection.k}, {selection.strategy}]".replace("$", r"\$")


def _count(selection: Selection, name: str) -> int:
    rows = {"keyframes": selection.frames, "clips": selection.clips, "scenes": selection.scenes}
    return len(rows.get(name, selection.candidates))


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
    picture = io.StringIO()
    timeline(selection).savefig(picture, format="svg")
    svg = picture.getvalue()
    clips = "".join(
        f'<tr><td>{number}</td><td><b style="color:{COLOURS[clip.priority]}">{clip.priority}</b></td>'
        f"<td>{clock(clip.start)} – {clock(clip.end)}</td><td>{'' if clip.score is None else f'{clip.score:.2f}'}</td>"
        f"<td>{escape(clip.reason)}</td></tr>"
        for number, clip in enumerate(selection.clips, 1)
    )
    figures = "".join(
        f'<figure><img src="{data_url(jpeg(frame.image, long_side=640))}" alt="frame at {clock(frame.timestamp)}">'
        f"<figcaption>{number}. <b>{clock(frame.timestamp)}</b> {_place(selection, frame.timestamp)[1]}</figcaption>"
        "</figure>"
        for number, frame in enumerate(selection.frames, 1)
    )
    cost = selection.cost
    steps = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in cost.seconds.items())
    page = PAGE.format(
        title=escape(selection.query),
        video=escape(selection.video),
        duration=clock(selection.duration),
        k=selection.k,
        strategy=selection.strategy,
        selector=escape(str(selection.selector.get("name", "unknown"))),
        svg=svg[svg.index("<svg") :],
        clips=CLIPS.format(rows=clips) if clips else "<p>No clip was found for this query.</p>",
        frames=figures,
        notes="".join(
            f"<li>{escape(str(note))}</li>" for note in selection.notes or ["nothing was out of the ordinary"]
        ),
        cost=f"{cost.frames_decoded} frames decoded, {cost.candidates} candidates, {cost.model_calls} model calls, "
        f"{cost.tokens_in} tokens in, {cost.tokens_out} out; {steps}",
    )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target


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
