"""LVBench: ``video_info.meta.jsonl`` of THUDM/LVBench, one line a video.

Fields: key (YouTube id), type, video_info, qa: a list of uid, question (with its options in lines "(A) ..."), answer
(letter), question_type (a list), time_reference ("MM:SS-MM:SS" or with hours). Videos are ``all_videos/<key>.mp4``.
A time reference is where the answer is seen: it is the one true scene. Whole seconds, the last one included.
"""

from __future__ import annotations

import re
from pathlib import Path

from kframes_plugin.types import Span
from kframes_training.sources.datasets.files import (
    Row,
    answer_index,
    find_video,
    gathered,
    groups_of,
    read_rows,
    seconds,
)
from kframes_training.sources.datasets.items import Data, Item

_OPTION = re.compile(r"^\s*\(([A-Z])\)\s*", re.MULTILINE)


def read(file: Path, videos: Path) -> Data:
    """All questions.

    Args:
        file: video_info.meta.jsonl.
        videos: folder of the videos, or the one above ``all_videos`` or ``videos``.
    """
    rows = [{**one, "line": line} for line in read_rows(file) for one in line["qa"]]

    def make(row: Row) -> Item:
        question, options = split_options(row["question"])
        line = row["line"]
        span = _span(row.get("time_reference") or "")
        return Item(
            id=str(row["uid"]),
            video=find_video(videos, line["key"], ("all_videos", "videos")),
            query=question,
            question=question,
            options=options,
            answer=answer_index(row.get("answer"), options),
            scenes=((span,),) if span else (),
            groups={**groups_of(line, ("type",)), **groups_of(row, ("question_type",))},
        )

    return gathered("lvbench", [(f"uid {row.get('uid')}", row) for row in rows], make)


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """ "What?\\n(A) one\\n(B) two" -> "What?", ("one", "two")."""
    question, *rest = _OPTION.split(text)
    return question.strip(), tuple(option.strip() for option in rest[1::2])


def _span(text: str) -> Span | None:
    start, dash, end = text.partition("-")
    return (seconds(start), seconds(end) + 1.0) if dash else None
