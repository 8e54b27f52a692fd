"""The video as a strip of four rows over time: keyframes, clips, scenes, candidates; as SVG for pages, or as a picture.

What is to be drawn is worked out once, as boxes and texts; two short writers draw it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from kframes_plugin.output.messages import clock
from kframes_plugin.text import printable

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection

# One colour a meaning, told apart by colour-blind people too (Okabe and Ito's palette).
COLOURS = {"P1": "#d55e00", "P2": "#56b4e9", "candidates": "#999999", "keyframes": "#000000"}
SCENE_COLOURS = ("#d9d9d9", "#f0f0f0")
ROWS = ("keyframes", "clips", "scenes", "candidates")  # top down

WIDTH, HEIGHT = 1000, 232
LEFT, RIGHT, TOP, ROW = 130, 34, 44, 38  # margins and the height of a row, pixels
THINNEST = 3.0  # pixels: a needle in an hour is narrower
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)  # seconds
MOST_TICKS = 10
LONGEST_TITLE = 90  # characters


@dataclass(frozen=True)
class Box:
    """A filled rectangle, in pixels."""

    left: float
    top: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True)
class Text:
    """A line of text; ``anchor`` "start", "middle" or "end" is the part of it that lies at ``left``."""

    left: float
    top: float
    text: str
    anchor: str = "start"
    size: int = 13
    colour: str = "#222222"


def timeline_svg(selection: Selection) -> str:
    """An ``<svg>`` element, everything in it escaped."""
    parts = []
    for shape in _shapes(selection):
        if isinstance(shape, Box):
            place = f'x="{shape.left:.1f}" y="{shape.top:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
            parts.append(f'<rect {place} fill="{shape.colour}"/>')
        else:
            place = f'x="{shape.left:.1f}" y="{shape.top + shape.size:.1f}" font-size="{shape.size}"'
            words = escape(shape.text)
            parts.append(f'<text {place} text-anchor="{shape.anchor}" fill="{shape.colour}">{words}</text>')
    head = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head} role="img" aria-label="timeline">{"".join(parts)}</svg>'


def timeline_picture(selection: Selection, scale: int = 2) -> Image.Image:
    """An RGB picture of ``scale`` x (1000, 232) pixels."""
    picture = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), "white")
    pen = ImageDraw.Draw(picture)
    anchors = {"start": "la", "middle": "ma", "end": "ra"}
    for shape in _shapes(selection):
        left, top = shape.left * scale, shape.top * scale
        if isinstance(shape, Box):
            right, bottom = left + shape.width * scale - 1, top + shape.height * scale - 1
            pen.rectangle((left, top, max(left, right), max(top, bottom)), shape.colour)
        else:
            font = ImageFont.load_default(size=shape.size * scale)
            pen.text((left, top), shape.text, shape.colour, font, anchor=anchors[shape.anchor])
    return picture


def _shapes(selection: Selection) -> Iterator[Box | Text]:
    scale = (WIDTH - LEFT - RIGHT) / selection.duration
    top = {name: TOP + ROW * row for row, name in enumerate(ROWS)}
    bottom = TOP + ROW * len(ROWS)

    def at(seconds: float) -> float:
        return LEFT + seconds * scale

    query = printable(selection.query)
    query = query if len(query) <= LONGEST_TITLE else query[: LONGEST_TITLE - 1] + "…"
    yield Text(LEFT, 10, f"{query}   [k = {selection.k}, {selection.strategy}]", size=14)
    for number, (start, end) in enumerate(selection.scenes):
        yield Box(at(start), top["scenes"] + 8, (end - start) * scale, ROW - 16, SCENE_COLOURS[number % 2])
    for time in selection.timestamps:
        yield Box(at(time), TOP, 1, bottom - TOP, "#dddddd")
    for priority in ("P2", "P1"):  # P1 above
        for clip in selection.clips:
            if clip.priority == priority:
                width = max(THINNEST, clip.length * scale)
                middle = at((clip.start + clip.end) / 2)
                yield Box(middle - width / 2, top["clips"] + 8, width, ROW - 16, COLOURS[priority])
    for name, times, height in (("candidates", selection.candidates, 8), ("keyframes", selection.timestamps, 22)):
        for time in times:
            yield Box(at(time) - 0.5, top[name] + (ROW - height) / 2, 1.6, height, COLOURS[name])
    for name in ROWS:
        yield Text(LEFT - 10, top[name] + 11, f"{name} ({_count(selection, name)})", "end")
    yield Box(LEFT, bottom, WIDTH - LEFT - RIGHT, 1, "#888888")
    step = next((tick for tick in TICKS if selection.duration / tick <= MOST_TICKS), TICKS[-1])
    for number in range(int(selection.duration / step) + 1):
        yield Box(at(number * step), bottom, 1, 5, "#888888")
        yield Text(at(number * step), bottom + 8, clock(number * step), "middle", 12)
    for place, priority in enumerate(("P1", "P2") if selection.clips else ()):
        yield Box(10, 12 + 18 * place, 12, 12, COLOURS[priority])
        yield Text(28, 10 + 18 * place, priority)


def _count(selection: Selection, name: str) -> int:
    rows = {"keyframes": selection.frames, "clips": selection.clips, "scenes": selection.scenes}
    return len(rows.get(name, selection.candidates))
