"""The video block of a chat as a selection: what its keys say of start, end, number and size of frames is followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

from kframes_plugin.clips.geometry import length
from kframes_plugin.keyframes import log_notes
from kframes_plugin.kframes import KFrames
from kframes_plugin.query.spans import Time, join_spans
from kframes_plugin.selection import Selection
from kframes_plugin.text import quoted, shortened
from kframes_plugin.types import Note, Strategy

KINDS = ("video", "video_url")
SOURCES = ("video", "path", "url", "video_url", "base64")  # the keys under which hosts look for a video
STARTS = ("start", "video_start", "start_time")
ENDS = ("end", "video_end", "end_time")
COUNTS = ("num_frames", "nframes")
LIMITS = ("fps", "max_frames", "min_frames")
PIXELS = ("max_pixels", "total_pixels")
FOLLOWED = {"type", *SOURCES, *STARTS, *ENDS, *COUNTS, *LIMITS, *PIXELS}


def select_block(
    kframes: KFrames,
    block: Mapping[str, Any],
    query: str,
    k: int,
    *,
    strategy: Strategy | None = None,
    start: Time | None = None,
    end: Time | None = None,
) -> Selection:
    """The frames of a video block, ``{"type": "video", "video": path, ...}`` or ``{"type": "video_url", ...}``.

    The video is one of what :meth:`KFrames.select` takes, under ``video``, ``path``, ``url``, ``base64`` or
    ``video_url``, as itself or as ``{"url": ...}``.
    ``start``, ``video_start`` or ``start_time`` and ``end``, ``video_end`` or ``end_time`` say where to look.
    ``num_frames`` or ``nframes`` takes the place of k. ``fps``, frames a second of the part that is looked at, and
    ``max_frames`` lower k, ``min_frames`` raises it. ``max_pixels``, of a frame, and ``total_pixels``, of all, make
    the frames smaller. A key that is none of these is named in a note; so are ``min_pixels`` and its like, for frames
    are never enlarged.

    Args:
        kframes: the selector.
        block: the block; keys without a value count as missing.
        query, k, strategy, start, end: as for :meth:`KFrames.select`; what the block says goes before them.

    Raises:
        ValueError: the block names no video, or several; a number that cannot be.
        VideoError, SelectorError, SpanError: as for :meth:`KFrames.select`.
    """
    given = {key: value for key, value in block.items() if value is not None}
    source, more = _find_video(given)
    start, end = _first(given, STARTS, start), _first(given, ENDS, end)
    with kframes.open(source) as session:
        spans = join_spans([], start, end, session.duration, session.video.path)
        wanted = _count(given, k, length(spans) or session.duration)
        side = _long_side(given, wanted, session.video.width, session.video.height)
        looking = session if side is None else _with_frame_size(kframes, side).open(session.video)
        selection = looking.select(query, wanted, strategy=strategy, start=start, end=end)
    unread = sorted(map(shortened, [*(str(key) for key in given if key not in FOLLOWED), *more]))
    if not unread:
        return selection
    note = Note("keys-unread", f"the video block has keys that are ignored: {', '.join(unread)}")
    log_notes(selection.video, [note])
    return replace(selection, notes=(*selection.notes, note))


def is_video_block(block: Any) -> bool:
    """Whether a block of a chat is a video.

    Raises:
        ValueError: it looks like one and cannot be understood, so its video would be lost.
    """
    if not isinstance(block, Mapping):
        return False
    kind = block.get("type")
    has_video = any(block.get(key) is not None for key in KINDS)
    if kind in KINDS or (kind is None and has_video):
        return True
    if has_video or "video" in str(kind).lower():
        raise ValueError(f'a block with a video must be of the type "video" or "video_url"; got {quoted(kind)}')
    return False


def _find_video(given: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The video of a block, and the keys beside a ``{"url": ...}`` that are not followed."""
    named = [key for key in SOURCES if key in given]
    if len(named) != 1:
        keys = ", ".join(sorted(map(quoted, given))) or "none"
        raise ValueError(f"a video block must have one of {', '.join(SOURCES)}; got the keys {keys}")
    key, source = named[0], given[named[0]]
    if isinstance(source, Mapping):
        if not isinstance(source.get("url"), str):
            raise ValueError(
                f'{key} of a video block must be a path, a URL or {{"url": ...}}; got {quoted(dict(source))}'
            )
        return source["url"], [f"{key}.{other}" for other in source if other != "url"]
    return (f"data:video/mp4;base64,{source}" if key == "base64" else source), []


def _first(given: Mapping[str, Any], keys: tuple[str, ...], default: Any) -> Any:
    return next((given[key] for key in keys if key in given), default)


def _count(given: Mapping[str, Any], k: int, seconds: float) -> int:
    """How many frames the block asks for."""
    for key in (*COUNTS, *LIMITS, *PIXELS):
        value = given.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ValueError(f"{key} of a video block must be a number > 0; got {value!r}")
    count: int = _first(given, COUNTS, k)
    if "fps" in given:
        count = min(count, max(1, round(given["fps"] * seconds)))
    count = max(count, int(given.get("min_frames", count)))
    return int(min(count, given.get("max_frames", count)))


def _long_side(given: Mapping[str, Any], count: int, width: int, height: int) -> int | None:
    """The long side in pixels at which a frame has as many pixels as it may; None where it is small enough."""
    allowed = [given["max_pixels"]] if "max_pixels" in given else []
    allowed += [given["total_pixels"] / count] if "total_pixels" in given else []
    if not allowed or min(allowed) >= width * height:
        return None
    return max(1, int(max(width, height) * sqrt(min(allowed) / (width * height))))


def _with_frame_size(kframes: KFrames, side: int) -> KFrames:
    """The same KFrames with keyframes that are not larger; a size of its own that is exact stays."""
    size = kframes.sampling.frame_size
    if isinstance(size, tuple):
        return kframes
    smaller: KFrames = object.__new__(type(kframes))  # not copied, which asks for a selector that pickles
    smaller.__dict__.update(kframes.__dict__)
    smaller.sampling = replace(kframes.sampling, frame_size=side if size is None else min(side, size))
    return smaller
