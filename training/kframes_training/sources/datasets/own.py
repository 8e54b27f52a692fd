"""A simple JSONL of one's own, one question a line; only ``video`` and ``query`` (or ``question``) must be there:

    {"video": "match.mp4", "query": "When is the goal scored?", "question": "Who scored?", "options": ["Ann", "Bo"],
     "answer": "B", "spans": [[61, 74.5]], "points": [63.0], "duration": 5400, "groups": {"kind": "sport"}, "id": "q1"}

``query`` is for the selector, ``question`` for the answerer; one stands for the other where it is missing. ``answer``
is a letter, an index from 0, or an option's text. ``spans``: every span is one piece of evidence; ``scenes``, a list of
lists of spans, where one piece is seen in several spans. An empty list of spans says that nothing in the video matches.
``duration`` is not needed.
"""

from __future__ import annotations

from pathlib import Path

from kframes_training.sources.datasets.files import Row, answer_index, find_video, gathered, numbered, read_rows
from kframes_training.sources.datasets.items import Data, Item

FIELDS = ("id", "video", "query", "question", "options", "answer", "spans", "scenes", "points", "duration", "groups")


def read(file: Path, videos: Path) -> Data:
    """All questions.

    Args:
        file: .jsonl, .json (a list) or .parquet with these fields.
        videos: folder from which the paths of the videos count.
    """

    def make(row: Row) -> Item:
        if unknown := sorted(set(row) - {*FIELDS, "number"}):
            raise ValueError(f"unknown fields {', '.join(unknown)}; known are {', '.join(FIELDS)}")
        query = str(row.get("query") or row["question"])
        question = str(row.get("question") or query)
        options = tuple(map(str, row.get("options") or ()))
        scenes = row.get("scenes") or [[span] for span in row.get("spans") or ()]
        return Item(
            id=str(row.get("id", row["number"])),
            video=find_video(videos, row["video"]),
            query=query,
            question=question if options or row.get("question") else "",
            options=options,
            answer=answer_index(row.get("answer"), options),
            scenes=tuple(tuple((float(start), float(end)) for start, end in spans) for spans in scenes),
            points=tuple(map(float, row.get("points") or ())),
            absent=row.get("spans") == [] and not scenes and not row.get("points"),
            duration=float(row["duration"]) if row.get("duration") else None,
            groups={str(name): str(value) for name, value in (row.get("groups") or {}).items()},
        )

    named = [(name, {**row, "number": n}) for n, (name, row) in enumerate(numbered(read_rows(file)), 1)]
    return gathered("own", named, make)
