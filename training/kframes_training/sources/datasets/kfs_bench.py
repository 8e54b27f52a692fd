"""KFS-Bench: ``lvb_anno.csv`` or ``vidmme_anno.csv``, the true scenes for questions of LongVideoBench or Video-MME.

Columns: id (of the question in its own data set), segment_id, scene_id, start, end ("h:mm:ss" or "m:ss"). Segments of
one scene_id are one scene. Times are whole seconds, and the last one belongs to the segment: [start, end + 1).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kframes_plugin.types import Span
from kframes_training.sources.datasets import longvideobench, videomme
from kframes_training.sources.datasets.files import Row, read_rows, seconds
from kframes_training.sources.datasets.items import Data

GRACE = 1.0  # seconds added to the end of every segment


def read(file: Path, videos: Path, *, questions: Path) -> Data:
    """The questions that have true scenes.

    Args:
        file: the CSV with the scenes.
        videos: folder of the videos of the questions' data set.
        questions: its annotation: lvb_val.json, or Video-MME's parquet or JSON.
    """
    truth: dict[str, dict[str, list[Span]]] = {}
    for row in read_rows(file):
        span = seconds(row["start"]), seconds(row["end"]) + GRACE
        truth.setdefault(row["id"], {}).setdefault(row["scene_id"], []).append(span)
    asked = _questions(questions, videos)
    items, odd = [], list(asked.odd)
    for item in asked.items:
        if scenes := truth.get(item.id):
            try:
                items.append(replace(item, scenes=tuple(tuple(sorted(set(spans))) for spans in scenes.values())))
            except ValueError as error:
                odd.append(str(error))
    if lost := sorted(set(truth) - {item.id for item in asked.items}):
        odd.append(
            f"{len(lost)} questions have scenes in {file.name} but are not in {questions.name}: {', '.join(lost)}"
        )
    return Data("kfs-bench", tuple(items), tuple(odd))


def _questions(file: Path, videos: Path) -> Data:
    first: Row = next(iter(read_rows(file)), {})
    if "video_path" in first and "id" in first:
        return longvideobench.read(file, videos)
    return videomme.read(file, videos)
