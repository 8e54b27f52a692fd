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
from kframes_plugin.types import Note, Strategy

SOURCES = ("video", "path", "url")  # the keys under which hosts look for a video
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
    """The frames of a video block, ``{"type": "video", "video": path, ...}``.

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
        ValueError: the block names no video; a number that cannot be.
        VideoError, SelectorError, SpanError: as for :meth:`KFrames.select`.
    """
    given = {key: value for key, value in block.items() if value is not None}
    source = _first(given, SOURCES, None)
    if source is None:
        raise ValueError(
            f"a video block must have one of {', '.join(SOURCES)}; got the keys {', '.join(sorted(block))}"
        )
    start, end = _first(given, STARTS, start), _first(given, ENDS, end)
    with kframes.open(source) as session:
        spans = join_spans([], start, end, session.duration, session.video.path)
        wanted = _count(given, k, length(spans) or session.duration)
        side = _long_side(given, wanted, session.video.width, session.video.height)
        looking = session if side is None else _with_frame_size(kframes, side).open(session.video)
        selection = looking.select(query, wanted, strategy=strategy, start=start, end=end)
    unread = sorted(set(given) - FOLLOWED)
    if not unread:
        return selection
    note = Note("keys-unread", f"the video block has keys that are not followed: {', '.join(unread)}")
    log_notes(selection.video, [note])
    return replace(selection, notes=(*selection.notes, note))


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
