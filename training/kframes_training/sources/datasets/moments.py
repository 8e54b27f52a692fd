"""Queries with the spans that they describe, as grounding data sets write them; there is nothing to answer.

One query a row: ``{"video", "query", "spans", "duration"}`` under the usual names (vid, video_id, video_path; sentence,
description, caption; timestamps, span, relevant_windows, one span or several). Many queries a video: ActivityNet
Captions' ``{id: {"duration", "timestamps": [[0, 5.2], ...], "sentences": [...]}}``, and TimeLens-100K's rows with
``"events": [{"query", "span"}, ...]``. An empty list of spans says that nothing in the video matches.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kframes_plugin.types import Span
from kframes_training.sources.datasets.files import Row, find_video, gathered, numbered, read_rows
from kframes_training.sources.datasets.items import Data, Item

VIDEO = ("video", "video_path", "video_id", "vid")
QUERY = ("query", "sentence", "description", "caption", "desc")
SPANS = ("spans", "timestamps", "span", "timestamp", "relevant_windows", "times")


def read(file: Path, videos: Path) -> Data:
    """All queries.

    Args:
        file: .json or .jsonl.
        videos: folder of the videos.
    """

    def make(row: Row) -> list[Item]:
        found = []
        for number, (query, spans) in enumerate(_asked(row)):
            item = Item(
                id=f"{row['number']}-{number}",
                video=find_video(videos, str(_first(row, VIDEO)), ("videos",)),
                query=query,
                scenes=tuple((span,) for span in spans),
                absent=not spans,
                duration=float(row["duration"]) if row.get("duration") else None,
            )
            found.append(item)
        return found

    rows = _rows_of_videos(file)
    return gathered("moments", numbered([{**row, "number": n} for n, row in enumerate(rows, 1)]), make)


def _rows_of_videos(file: Path) -> list[Row]:
    """The rows of a file; an object of videos by their ids becomes a row each."""
    if file.suffix == ".json":
        whole = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(whole, dict) and all(isinstance(value, dict) for value in whole.values()):
            return [{"video": name, **value} for name, value in whole.items()]
    return read_rows(file)


def _asked(row: Row) -> list[tuple[str, list[Span]]]:
    """The queries of a row with their spans."""
    if "events" in row:
        return [(str(_first(event, QUERY)), read_spans(_first(event, SPANS))) for event in row["events"]]
    if "sentences" in row:
        pairs = zip(row["sentences"], _first(row, SPANS), strict=True)
        return [(str(sentence).strip(), read_spans(span)) for sentence, span in pairs]
    return [(str(_first(row, QUERY)), read_spans(_first(row, SPANS)))]


def read_spans(value: Any) -> list[Span]:
    """[61, 74.5] or [[61, 74.5], ...] -> spans in seconds.

    Raises:
        TypeError, ValueError: it is neither.
    """
    if value and not isinstance(value[0], list | tuple):
        value = [value]
    return [(float(start), float(end)) for start, end in value]


def _first(row: Row, names: tuple[str, ...]) -> Any:
    """The value of the first name that a row has.

    Raises:
        KeyError: it has none of them.
    """
    for name in names:
        if name in row:
            return row[name]
    raise KeyError(" or ".join(names))
