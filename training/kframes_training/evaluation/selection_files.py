"""Anybody's selections, read from a file: frame numbers, seconds, KFS-Bench's, AKS's, or kframes' own.

A file is JSON Lines (one row a line) or one JSON array of rows. A row is

* a bare list of frame numbers (AKS's ``selected_frames.json``): rows then stand in the order of the truth;
* an object with ``frame_indices`` (or ``frame_idx``, ``frame_numbers``, ``frames``): numbers of frames, needs ``fps``;
* an object with ``timestamps`` (or ``frame_timestamps`` as KFS-Bench has it, ``seconds``): seconds;
* a kframes selection: ``Selection.to_dict()``, or ``selection.json`` of ``save()``.

An object is matched with the truth by its ``id``, or else by ``video`` and ``query``. It may also have ``k``,
``selector``, ``fps`` and ``clips`` ([start, end] or objects with start, end, priority).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kframes_plugin.types import Clip

INDICES = ("frame_indices", "frame_idx", "frame_numbers", "indices")
SECONDS = ("timestamps", "frame_timestamps", "seconds")
SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv")
Key = tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """One selection.

    Attributes:
        key: what it is matched by: ("id", id) or (video, query); None: by its place in the file.
        seconds: timestamps of its frames, or None where it gives frame numbers.
        indices: frame numbers, or None where it gives seconds.
        fps: frames a second that the numbers count, or None where the row does not say.
        clips: the clips, or None where it has none to tell.
        k: frames that were asked for, or None where the row does not say.
        selector: its name, "" where the row does not say.
        place: "FILE:LINE" for messages.
    """

    key: Key | None
    seconds: tuple[float, ...] | None
    indices: tuple[int, ...] | None
    fps: float | None
    clips: tuple[Clip, ...] | None
    k: int | None
    selector: str
    place: str


def read_selections(path: Path) -> list[Chosen]:
    """The selections of a file, in its order.

    Raises:
        ValueError: a row is none of the forms above; the message names file, row and rule.
    """
    return [_chosen(row, f"{path.name}:{number}") for number, row in rows_of(path)]


def rows_of(path: Path) -> list[tuple[int, Any]]:
    """(number, row) of a JSON Lines file or of one JSON array; number counts from 1.

    Raises:
        ValueError: no JSON, or no row at all.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        rows = _rows(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}: neither JSON Lines nor a JSON array: {error}") from error
    if not rows:
        raise ValueError(f"{path.name} holds no row")
    return rows


def _rows(text: str) -> list[tuple[int, Any]]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return [(n, json.loads(line)) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if isinstance(whole, dict):
        return [(1, whole)]
    if whole and not any(isinstance(row, dict | list) for row in whole):
        return [(1, whole)]  # a single line of frame numbers
    return list(enumerate(whole, 1))


def key_of(row: Mapping[str, Any]) -> Key | None:
    """What a row is matched by: its id, or else its video (without folder and suffix) and query; None: neither."""
    for name in ("id", "question_id", "qid"):
        if row.get(name) is not None:
            return ("id", str(row[name]))
    if row.get("video") is None:
        return None
    video = PurePosixPath(str(row["video"]).replace("\\", "/")).name
    stem, dot, suffix = video.rpartition(".")
    return (stem if f"{dot}{suffix}".lower() in SUFFIXES else video, str(row.get("query", row.get("question", ""))))


def _chosen(row: Any, place: str) -> Chosen:
    if isinstance(row, list):
        return Chosen(None, None, whole_numbers(row, place), None, None, None, "", place)
    if not isinstance(row, dict):
        raise ValueError(f"{place}: a row is a list of frame numbers or an object; got {type(row).__name__}")
    seconds, indices = _frames(row, place)
    clips = row.get("clips")
    try:
        return Chosen(
            key_of(row),
            seconds,
            indices,
            float(row["fps"]) if row.get("fps") else None,
            None if clips is None else tuple(clip_of(clip) for clip in clips),
            None if row.get("k") is None else int(row["k"]),
            str(row.get("selector", "")),
            place,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{place}: {error}") from error


def _frames(row: Mapping[str, Any], place: str) -> tuple[tuple[float, ...] | None, tuple[int, ...] | None]:
    for name in SECONDS:
        if name in row:
            return numbers(row[name], place), None
    for name in INDICES:
        if name in row:
            return None, whole_numbers(row[name], place)
    frames = row.get("frames")
    if isinstance(frames, list) and all(isinstance(frame, dict) and "timestamp" in frame for frame in frames):
        return numbers([frame["timestamp"] for frame in frames], place), None
    if isinstance(frames, list):
        return None, whole_numbers(frames, place)
    raise ValueError(
        f"{place}: no frames; give one of {', '.join((*INDICES, *SECONDS))}, or a kframes selection; got the fields "
        f"{', '.join(row)}"
    )


def numbers(values: Any, place: str) -> tuple[float, ...]:
    """Finite seconds >= 0, or ValueError."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"{place}: seconds must be a list of numbers; got {values!r:.60}")
    if wrong := [v for v in values if isinstance(v, bool) or not isinstance(v, int | float) or not 0 <= v < 1e9]:
        raise ValueError(f"{place}: seconds must be finite numbers >= 0; got {wrong[0]!r:.60}")
    return tuple(float(value) for value in values)


def whole_numbers(values: Any, place: str) -> tuple[int, ...]:
    """Frame numbers >= 0, or ValueError."""
    found = numbers(values, place)
    if wrong := [value for value in found if value != int(value)]:
        raise ValueError(f"{place}: frame numbers must be whole; got {wrong[0]}; give seconds as timestamps")
    return tuple(int(value) for value in found)


def clip_of(clip: Any) -> Clip:
    """A clip from [start, end] or an object with start, end and maybe priority."""
    if isinstance(clip, Mapping):
        return Clip(float(clip["start"]), float(clip["end"]), clip.get("priority", "P1"))
    start, end = clip[:2]
    return Clip(float(start), float(end))
