"""MLVU: the folder ``json`` of MLVU/MVLU with one file a task (1_plotQA.json ... 9_summary.json), or one file.

Fields: video, duration (seconds), question, candidates (texts), answer (a text), question_type (plotQA, findNeedle,
ego, count, order, anomaly_reco, topic_reasoning ...). Videos are ``video/<task>/<video>``. Tasks that ask for free text
(8_sub_scene, 9_summary) have no candidates: they are read without options. Needle QA is ``question_type`` findNeedle.
"""

from __future__ import annotations

from pathlib import Path

from kframes_training.sources.datasets.files import (
    Row,
    answer_index,
    find_video,
    gathered,
    groups_of,
    plain_options,
    read_rows,
)
from kframes_training.sources.datasets.items import Data, Item


def read(file: Path, videos: Path) -> Data:
    """All questions.

    Args:
        file: the folder of the task files, or one of them.
        videos: the folder ``video`` with one folder a task, or one above it, or a folder that holds all videos.
    """
    files = sorted(file.glob("*.json")) if file.is_dir() else [file]
    rows = [(one.stem, number, row) for one in files for number, row in enumerate(read_rows(one), 1)]

    def make(row: Row) -> Item:
        options = plain_options(row.get("candidates") or ())
        answer = row.get("answer") if options else None
        task = row["task"]
        return Item(
            id=str(row.get("question_id") or f"{task}/{row['number']}"),
            video=find_video(videos, row["video"], (task, f"video/{task}", "video")),
            query=row["question"],
            question=row["question"],
            options=options,
            answer=answer_index(answer, options),
            duration=float(row["duration"]) if row.get("duration") else None,
            groups=groups_of(row, ("question_type",)) or {"question_type": task},
        )

    named = [(f"{task}, row {number}", {**row, "task": task, "number": number}) for task, number, row in rows]
    return gathered("mlvu", named, make)
