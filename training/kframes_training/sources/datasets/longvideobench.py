"""LongVideoBench: ``lvb_val.json`` (or lvb_test_wo_gt.json, or the parquet of the same rows), subtitles where wanted.

Fields: id, video_id, video_path, question, candidates (the parquet: option0 ... option4), correct_choice (index),
duration (seconds), duration_group, question_category, topic_category, level, subtitle_path,
starting_timestamp_for_subtitles. Videos are ``videos/<video_path>``, subtitles ``subtitles/<subtitle_path>``: JSON with
the times of the whole video from which the clip was cut, in one of two shapes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kframes_training.sources.datasets.files import (
    Row,
    answer_index,
    find_video,
    gathered,
    groups_of,
    numbered,
    read_rows,
    seconds,
)
from kframes_training.sources.datasets.items import Data, Item, Subtitle

GROUPS = ("duration_group", "question_category", "topic_category", "level")
OPTIONS = 5


def read(file: Path, videos: Path, *, subtitles: bool = False) -> Data:
    """All questions.

    Args:
        file: .json or .parquet.
        videos: folder of the videos, or the one above their folder ``videos``.
        subtitles: read them too, from the folder ``subtitles`` beside the file, beside the videos, or in their folder.
    """
    folders = [file.parent, videos, videos.parent]

    def make(row: Row) -> Item:
        options = row.get("candidates") or [
            text for i in range(OPTIONS) if (text := row.get(f"option{i}")) not in (None, "N/A")
        ]
        choice = row.get("correct_choice")
        length = float(row["duration"])
        offset = float(row.get("starting_timestamp_for_subtitles") or 0.0)
        return Item(
            id=str(row["id"]),
            video=find_video(videos, row["video_path"], ("videos",)),
            query=row["question"],
            question=row["question"],
            options=tuple(options),
            answer=None if choice in (None, -1) else answer_index(int(choice), options),
            duration=length,
            groups=groups_of(row, GROUPS),
            subtitles=_subtitles(folders, row["subtitle_path"], offset, length) if subtitles else (),
        )

    return gathered("longvideobench", numbered(read_rows(file)), make)


def _subtitles(folders: list[Path], name: str, offset: float, duration: float) -> tuple[Subtitle, ...]:
    """The lines that are heard in the clip, with its own times."""
    places = [folder / "subtitles" / name for folder in folders]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ValueError(f"its subtitles {name} are not in {' or '.join(str(place.parent) for place in places)}")
    lines = [_line(entry, offset, duration) for entry in json.loads(found.read_text(encoding="utf-8"))]
    return tuple(line for line in lines if line[1] > 0 and line[0] < duration)


def _line(entry: dict[str, Any], offset: float, duration: float) -> Subtitle:
    if "timestamp" in entry:
        start, end = entry["timestamp"]
        end = duration + offset if end is None else float(end)  # the last line of some files has no end
        return float(start) - offset, end - offset, str(entry["text"])
    return seconds(entry["start"]) - offset, seconds(entry["end"]) - offset, str(entry["line"])
