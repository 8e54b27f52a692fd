"""The fields of a saved selection, each checked for its type and size: a file from elsewhere is data, not trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of
from typing import TYPE_CHECKING, Any

from kframes_plugin.clips.allocation import Allocation, check_strategy
from kframes_plugin.keyframes import SamplingOptions
from kframes_plugin.types import Clip, Cost, Frame, Line, Note, Span

if TYPE_CHECKING:
    from PIL import Image

LONGEST_TEXT = 100_000  # characters
MOST_ROWS = 1_000_000
LARGEST = 1e12
LONGEST_SIDE = 1 << 15  # pixels
DECODERS = ("pyav", "decord")


def selection(plain: Mapping[str, Any], pictures: Sequence[Image.Image]) -> dict[str, Any]:
    """The fields of a Selection.

    Args:
        plain: as ``Selection.to_dict`` gives them, read from JSON.
        pictures: of the frames.

    Raises:
        TypeError, ValueError, KeyError: a field is missing, unknown, of another type or too large.
    """
    known = {
        *("video", "query", "k", "strategy", "clips", "nearest", "frames", "cost", "notes", "duration", "scenes"),
        *("candidates", "transcript", "sampling", "selector"),
    }
    if unknown := sorted(plain.keys() - known):
        raise ValueError(f"unknown field {unknown[0]!r}")
    return {
        "video": text(plain["video"], "video"),
        "query": text(plain["query"], "query"),
        "k": whole(plain["k"], "k", least=1),
        "strategy": check_strategy(text(plain["strategy"], "strategy")),
        "clips": tuple(map(_clip, rows(plain["clips"], "clips"))),
        "nearest": tuple(map(_clip, rows(plain.get("nearest", []), "nearest"))),
        "frames": tuple(map(_frame, rows(plain["frames"], "frames"), pictures)),
        "cost": _cost(fields(plain["cost"])),
        "notes": tuple(map(_note, rows(plain["notes"], "notes"))),
        "duration": number(plain["duration"], "duration"),
        "scenes": tuple(_span(span, "scenes") for span in rows(plain["scenes"], "scenes")),
        "candidates": tuple(number(at, "candidates") for at in rows(plain["candidates"], "candidates")),
        "transcript": tuple(map(_line, rows(plain.get("transcript", []), "transcript"))),
        "sampling": _sampling(fields(plain["sampling"])),
        "selector": fields(plain["selector"]),
    }


def text(value: Any, name: str) -> str:
    """A text of limited length."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text; got {type(value).__name__}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} has more than {LONGEST_TEXT:,} characters")
    return value


def number(value: Any, name: str) -> float:
    """A finite number >= 0, as it is written: whole numbers stay whole."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number; got {type(value).__name__}")
    if not (math.isfinite(value) and 0 <= value <= LARGEST):
        raise ValueError(f"{name} must lie in 0..{LARGEST:g}; got {value}")
    return value


def whole(value: Any, name: str, least: int = 0) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number; got {type(value).__name__}")
    if not least <= value <= LARGEST:
        raise ValueError(f"{name} must lie in {least}..{LARGEST:g}; got {value}")
    return value


def rows(value: Any, name: str) -> list[Any]:
    """A list of limited length."""
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list; got {type(value).__name__}")
    if len(value) > MOST_ROWS:
        raise ValueError(f"{name} has more than {MOST_ROWS:,} entries")
    return value


def fields(value: Any) -> dict[str, Any]:
    """An object of JSON."""
    if not isinstance(value, dict):
        raise TypeError(f"an object is needed; got {type(value).__name__}")
    return value


def _span(value: Any, name: str) -> Span:
    start, end = rows(value, name)
    return number(start, name), number(end, name)


def _only(row: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    if unknown := sorted(row.keys() - set(names)):
        raise ValueError(f"unknown field {unknown[0]!r}")
    return row


def _clip(value: Any) -> Clip:
    row = _only(fields(value), ("start", "end", "priority", "reason", "score"))
    priority: Any = text(row["priority"], "priority")
    score = None if row["score"] is None else number(row["score"], "score")
    reason = text(row["reason"], "reason")
    return Clip(number(row["start"], "start"), number(row["end"], "end"), priority, reason, score)


def _frame(value: Any, picture: Image.Image) -> Frame:
    row = _only(fields(value), ("timestamp", "duration", "said", "file"))
    said = text(row.get("said", ""), "said")
    return Frame(number(row["timestamp"], "timestamp"), number(row["duration"], "duration"), picture, said)


def _line(value: Any) -> Line:
    row = _only(fields(value), ("start", "end", "text"))
    return Line(number(row["start"], "start"), number(row["end"], "end"), text(row["text"], "text"))


def _note(value: Any) -> Note:
    row = _only(fields(value), ("code", "text"))
    return Note(text(row["code"], "code"), text(row["text"], "text"))


def _cost(row: Mapping[str, Any]) -> Cost:
    counts = [item.name for item in fields_of(Cost) if item.name not in ("seconds", "peak_memory_mb")]
    _only(row, (*counts, "seconds", "peak_memory_mb"))
    peak = row["peak_memory_mb"]
    return Cost(
        **{name: whole(row[name], name) for name in counts if name in row},
        seconds={text(step, "seconds"): number(spent, step) for step, spent in fields(row["seconds"]).items()},
        peak_memory_mb=None if peak is None else number(peak, "peak_memory_mb"),
    )


def _sampling(row: Mapping[str, Any]) -> SamplingOptions:
    """How frames were taken. Of the video's options only the decoder: limits and URLs are for the user to allow."""
    options = {item.name: item for item in fields_of(SamplingOptions)}
    _only(row, list(options))
    given: dict[str, Any] = {name: value for name, value in row.items() if isinstance(value, bool)}
    decoder = fields(row["video_options"]).get("decoder")
    size = row["frame_size"]
    sides = size if isinstance(size, list) else [] if size is None else [size]
    if any(whole(side, "frame_size", least=1) > LONGEST_SIDE for side in sides):
        raise ValueError(f"frame_size must be at most {LONGEST_SIDE}; got {size}")
    weights = _only(fields(row["allocation"]), [item.name for item in fields_of(Allocation)])
    read: dict[str, Any] = {name: number(value, name) for name, value in weights.items()}
    given |= {
        "strategy": check_strategy(text(row["strategy"], "strategy")),
        "allocation": Allocation(**read),
        "frame_size": tuple(size) if isinstance(size, list) else size,
        "video_options": {"decoder": decoder} if decoder in DECODERS else {},
        "within": tuple(_span(span, "within") for span in rows(row.get("within", []), "within")),
    }
    return SamplingOptions(**given)
