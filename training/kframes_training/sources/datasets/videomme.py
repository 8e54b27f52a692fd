"""Video-MME: ``videomme/test-00000-of-00001.parquet`` of lmms-lab/Video-MME, or the same rows as JSON; or the nested
JSON of its own repository (one object a video with its ``questions``).

Columns: video_id, duration (short, medium, long), domain, sub_category, url, videoID, question_id, task_type, question,
options ("A. ...", four), answer (letter). Videos are ``data/<videoID>.mp4``.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from kframes_training.sources.datasets.files import (
    Row,
    answer_index,
    find_video,
    gathered,
    groups_of,
    numbered,
    plain_options,
    read_rows,
)
from kframes_training.sources.datasets.items import Data, Item

GROUPS = ("duration", "domain", "sub_category", "task_type")


def read(file: Path, videos: Path) -> Data:
    """All questions.

    Args:
        file: .parquet, .json or .jsonl.
        videos: folder of the videos, or the one above their folder ``data`` or ``videos``.
    """
    rows = [row | one for row in read_rows(file) for one in row.get("questions", [{}])]

    def make(row: Row) -> Item:
        options = plain_options(row.get("options") or row["choices"])
        name = row.get("videoID") or _from_url(row.get("url", "")) or row["video_id"]
        return Item(
            id=str(row["question_id"]),
            video=find_video(videos, name, ("data", "videos", "video")),
            query=row["question"],
            question=row["question"],
            options=options,
            answer=answer_index(row.get("answer"), options),
            groups=groups_of(row, GROUPS),
        )

    return gathered("videomme", numbered(rows), make)


def _from_url(url: str) -> str:
    """The YouTube id of a watch URL, or ""."""
    return parse_qs(urlsplit(url).query).get("v", [""])[0]
