"""The truth that selections are scored against, from JSON Lines of one's own or from KFS-Bench's CSV.

A row of JSON Lines is an object with ``id``, or ``video`` and ``query``; the truth as one of

* ``spans``: [[start, end], ...] seconds, each the evidence of its own;
* ``scenes``: [[[start, end], ...], ...]: evidence that consists of several segments each, as KFS-Bench has it;
* ``keyframes``: seconds of true frames (LV-Haystack);

and maybe ``duration`` (seconds) and ``fps`` (for selections that give frame numbers). KFS-Bench's CSV has the columns
id, segment_id, scene_id, start, end; its times are whole seconds h:mm:ss, and every end is meant inclusive.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kframes_plugin.types import Span
from kframes_training.evaluation.selection_files import Key, key_of, numbers, rows_of
from kframes_training.sources.datasets.files import seconds
from kframes_training.sources.datasets.kfs_bench import GRACE

COLUMNS = ("id", "scene_id", "start", "end")


@dataclass(frozen=True)
class Truth:
    """The truth of one query.

    Attributes:
        key: what selections are matched by.
        video: what the bootstrap resamples.
        scenes: segments of every piece of evidence, seconds; none where only keyframes are known, or nothing is there.
        keyframes: true timestamps, seconds, or None where the file has none.
        duration: seconds, or None.
        fps: of the video, or None.
        grace: seconds that every end is meant later: 1 for KFS-Bench, else 0.
    """

    key: Key
    video: str
    scenes: tuple[tuple[Span, ...], ...]
    keyframes: tuple[float, ...] | None
    duration: float | None
    fps: float | None
    grace: float


def read_truth(path: Path) -> list[Truth]:
    """The rows of a truth file, in its order; ``.csv`` is KFS-Bench's.

    Raises:
        ValueError: a row has not what is needed, or two rows are of the same query.
    """
    found = _from_csv(path) if path.suffix.lower() == ".csv" else _from_json(path)
    seen: set[Key] = set()
    for truth in found:
        if truth.key in seen:
            raise ValueError(f"{path.name}: two rows of {' / '.join(truth.key)}; every query once")
        seen.add(truth.key)
    return found


def _from_json(path: Path) -> list[Truth]:
    return [_truth(row, f"{path.name}:{number}") for number, row in rows_of(path)]


def _truth(row: Any, place: str) -> Truth:
    if not isinstance(row, Mapping) or (key := key_of(row)) is None:
        raise ValueError(f"{place}: a row of the truth is an object with id, or video and query")
    if not any(name in row for name in ("spans", "scenes", "keyframes")):
        raise ValueError(f"{place}: no truth; give spans, scenes or keyframes; got the fields {', '.join(row)}")
    spans = row.get("scenes", [[span] for span in row.get("spans", [])])
    try:
        return Truth(
            key,
            str(row.get("video", key[-1])),
            tuple(tuple(_span(segment, place) for segment in scene) for scene in spans),
            numbers(row["keyframes"], place) if "keyframes" in row else None,
            float(row["duration"]) if row.get("duration") else None,
            float(row["fps"]) if row.get("fps") else None,
            0.0,
        )
    except (TypeError, KeyError) as error:
        raise ValueError(f"{place}: {error}") from error


def _span(segment: Any, place: str) -> Span:
    pair = numbers([segment["start"], segment["end"]] if isinstance(segment, Mapping) else segment, place)
    if len(pair) != 2 or pair[1] < pair[0]:
        raise ValueError(f"{place}: a span is [start, end] with start <= end; got {list(pair)}")
    return pair[0], pair[1]


def _from_csv(path: Path) -> list[Truth]:
    scenes: dict[str, dict[str, list[Span]]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ValueError(
                f"{path.name}: KFS-Bench's CSV has the columns {', '.join(COLUMNS)}; {missing[0]} is missing"
            )
        for number, row in enumerate(reader, 2):
            place = f"{path.name}:{number}"
            span = _span([clock(row["start"], place), clock(row["end"], place)], place)
            scenes.setdefault(row["id"], {}).setdefault(row["scene_id"], []).append(span)
    return [
        # a KFS-Bench id is that of the video and the number of its question
        Truth(("id", name), name.rpartition("_")[0] or name, tuple(map(tuple, found.values())), None, None, None, GRACE)
        for name, found in scenes.items()
    ]


def clock(text: str, place: str) -> float:
    """Seconds of "h:mm:ss", "mm:ss" or "ss", or ValueError."""
    try:
        return seconds(text)
    except ValueError as error:
        raise ValueError(f"{place}: a time is h:mm:ss or mm:ss; got {text!r}") from error
