"""Fill in the page of a report. Every text comes from others (models, files, people), so every text is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from kframes_plugin.clips.allocation import is_unsure
from kframes_plugin.clips.geometry import clip_of, length
from kframes_plugin.output.messages import clock
from kframes_plugin.output.report.film import film_data
from kframes_plugin.output.report.pictures import BYTES, MOST_K, large_pictures, small_pictures
from kframes_plugin.output.whole import write_whole
from kframes_plugin.text import printable
from kframes_plugin.types import PRIORITIES, Clip

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection
    from kframes_plugin.video import OpenVideo

OPEN_CLIPS = 8  # of a list; the others are folded away
MOST_CLIPS = 1000  # of a list
DENSITIES = ((4, "few"), (12, ""), (32, "many"))  # as in page.js


def write_html(selection: Selection, path: str | Path, video: OpenVideo | None) -> Path:
    """Write the report of a selection; returns the path.

    Args:
        selection: what to show.
        path: of the page; folders are made if missing.
        video: the selection's, opened. None: the page shows the frames of the selection, and has no slider.

    Raises:
        KFramesError: it cannot be written.
    """
    target = Path(path)
    write_whole(target, page(selection, video))
    return target


def page(selection: Selection, video: OpenVideo | None) -> str:
    """The report as HTML."""
    large = large_pictures(selection)
    room = BYTES - sum(map(len, large))
    small = small_pictures(selection, video, room) if video is not None else []
    style, allocation, script = (_read(name) for name in ("page.css", "allocation.js", "page.js"))
    most = MOST_K if video is None else min(len(video.timestamps), max(MOST_K, selection.k))
    values = {
        "policy": _policy(style, [allocation, script]),
        "style": style,
        "allocation": allocation,
        "script": script,
        "query": _safe(selection.query),
        "found": _safe(tell_found(selection)),
        "facts": _facts(facts(selection)),
        "k": str(min(selection.k, most)),
        "most": str(most),
        "density": next((name for limit, name in DENSITIES if len(selection.frames) <= limit), "most"),
        "frames": "".join(_figure(selection, number, url) for number, url in enumerate(large, 1)),
        "clips_title": "Key clips" if selection.clips or not selection.nearest else "What comes nearest",
        "clips": _clips(selection.clips) if selection.clips else _clips(selection.nearest, named=False),
        "notes": _notes(selection),
        "settings": _facts(settings(selection)),
        "data": _data(selection, video, small),
    }
    return Template(_read("page.html")).substitute(values)


def tell_found(selection: Selection) -> str:
    """What was found, in one line."""
    count = len(selection.frames)
    if not selection.clips:
        where = "show what comes nearest" if selection.nearest else "are spread over the video"
        return f"Nothing in the video clearly answers the query. The {_many(count, 'frame')} {where}."
    spans = [(clip.start, min(clip.end, selection.duration)) for clip in selection.clips]
    kinds = [sum(clip.priority == priority for clip in selection.clips) for priority in PRIORITIES]
    told = [f"{_many(n, f'{priority} clip')}" for n, priority in zip(kinds, PRIORITIES, strict=True) if n]
    inside = sum(clip_of(frame, selection.clips) is not None for frame in selection.frames)
    best = max(clip.score or 0.0 for clip in selection.clips)
    unsure = is_unsure(selection.clips, selection.sampling.allocation)
    return (
        f"Found {' and '.join(told)}: {clock(length(spans))} of {clock(selection.duration)}. "
        f"{inside} of the {_many(count, 'frame')} {'lies' if inside == 1 else 'lie'} in them."
        + (f" The selector is unsure: its best score is {best:.2f}." if unsure else "")
    )


def facts(selection: Selection) -> dict[str, str]:
    """What stands at the head of a report beside the query."""
    return {
        "Video": Path(selection.video).name or "frames",
        "Length": clock(selection.duration),
        "Selector": str(selection.selector.get("name", "unknown")),
        "Strategy": f"{selection.sampling.strategy}, {selection.strategy} at k = {selection.k}",
        "Candidates": f"{len(selection.candidates)}",
        "Scenes": f"{len(selection.scenes)}",
    }


def settings(selection: Selection) -> dict[str, str]:
    """What chose the clips and how the frames were taken, and what it cost."""
    cost, sampling = selection.cost, selection.sampling
    told = {f"selector: {name}": _plain(value) for name, value in selection.selector.items() if name != "name"}
    told |= {f"allocation: {name}": _plain(value) for name, value in vars_of(sampling.allocation).items()}
    told |= {"spans": ", ".join(f"{clock(a)}–{clock(b)}" for a, b in sampling.within)} if sampling.within else {}
    told |= {"exact spacing": "yes" if sampling.exact else "no"}
    told |= {"frames decoded": f"{cost.frames_decoded:,}", "model calls": f"{cost.model_calls:,}"}
    told |= {"tokens": f"{cost.tokens_in:,} in, {cost.tokens_out:,} out"} if cost.tokens_in else {}
    return told | {f"time: {step}": f"{seconds:.2f} s" for step, seconds in cost.seconds.items()}


def vars_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass with slots."""
    return {name: getattr(value, name) for name in value.__slots__}


def _figure(selection: Selection, number: int, url: str) -> str:
    frame = selection.frames[number - 1]
    place = clip_of(frame, selection.clips)
    kind, name = ("none", "outside") if place is None else (selection.clips[place - 1].priority, f"clip {place}")
    alt = f"Frame {number} at {clock(frame.timestamp)}, {name}"
    caption = f'<b>{clock(frame.timestamp)}</b><span class="tag {kind}">{name}</span>'
    return f'<figure><img src="{url}" alt="{alt}"><figcaption>{caption}</figcaption></figure>'


def _clips(clips: Sequence[Clip], *, named: bool = True) -> str:
    """A list of clips, best first, all but the first few folded."""
    if not clips:
        return "<p>No clip was found for this query.</p>"
    rows = [_row(number, clip, named) for number, clip in enumerate(clips[:MOST_CLIPS], 1)]
    shown, folded = "".join(rows[:OPEN_CLIPS]), "".join(rows[OPEN_CLIPS:])
    more = f"{_many(len(clips) - OPEN_CLIPS, 'more clip')}"
    more += f", {MOST_CLIPS - OPEN_CLIPS} of them here" if len(clips) > MOST_CLIPS else ""
    rest = f'<details><summary>{more}</summary><ol class="clips">{folded}</ol></details>' if folded else ""
    return f'<ol class="clips">{shown}</ol>{rest}'


def _row(number: int, clip: Clip, named: bool) -> str:
    tag = f'<span><span class="tag {clip.priority}">{clip.priority}</span></span>' if named else "<span></span>"
    span = f"{clock(clip.start)} – {clock(clip.end)}"
    score = ""
    if clip.score is not None:
        label = f"score {clip.score:.2f}"
        score = f'<meter value="{clip.score:.4f}" aria-label="{label}"></meter>{clip.score:.2f}'
    show = f'<button type="button" data-clip="{number - 1}" aria-label="Show clip {number}" hidden>Show</button>'
    return (
        f'<li><span class="number">{number}</span>{tag}<span>{span}</span><span class="score">{score}</span>'
        f'<span class="reason">{_safe(clip.reason)}</span>{show if named else "<span></span>"}</li>'
    )


def _notes(selection: Selection) -> str:
    notes = "".join(f"<li>{_safe(str(note))}</li>" for note in selection.notes)
    if not notes:
        return ""
    title = _many(len(selection.notes), "note")
    return f'<details class="more" open><summary>{title}</summary><ul class="notes">{notes}</ul></details>'


def _facts(told: Mapping[str, str]) -> str:
    return "".join(f"<div><dt>{_safe(name)}</dt><dd>{_safe(value)}</dd></div>" for name, value in told.items())


def _data(selection: Selection, video: OpenVideo | None, small: Sequence[tuple[float, str]]) -> str:
    """What the script reads: JSON in which no tag can begin."""
    frames = [
        {"time": f.timestamp, "said": printable(f.said), "width": f.image.width, "height": f.image.height}
        for f in selection.frames
    ]
    film = film_data(selection, video)
    name = Path(selection.video).name
    data = {"video": name, "k": selection.k, "frames": frames, "film": film, "pictures": small}
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _policy(style: str, scripts: Sequence[str]) -> str:
    """Content security: our style and scripts by hash, pictures in the page, a video beside it; nothing else."""
    hashes = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {hashes}; style-src {_hash(style)}; img-src data:; media-src 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return files("kframes_plugin.output.report").joinpath(name).read_text(encoding="utf-8")


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _safe(text: str) -> str:
    """A text of others inside a page."""
    return escape(printable(text))
