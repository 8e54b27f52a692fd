"""QVHighlights: ``highlight_val_release.jsonl`` (train has the same fields; test has no truth).

Fields: qid, query, duration (seconds), vid, relevant_windows ([start, end] in seconds), relevant_clip_ids,
saliency_scores. Every window is one true scene. Videos are ``<vid>.mp4``.
"""

from __future__ import annotations

from pathlib import Path

from kframes_training.sources.datasets.files import Row, find_video, gathered, numbered, read_rows
from kframes_training.sources.datasets.items import Data, Item


def read(file: Path, videos: Path) -> Data:
    """All queries; there is nothing to answer.

    Args:
        file: the .jsonl.
        videos: folder of the videos.
    """

    def make(row: Row) -> Item:
        windows = row.get("relevant_windows") or []
        return Item(
            id=str(row["qid"]),
            video=find_video(videos, row["vid"], ("videos",)),
            query=row["query"],
            scenes=tuple(((float(start), float(end)),) for start, end in windows),
            duration=float(row["duration"]),
        )

    return gathered("qvhighlights", numbered(read_rows(file)), make)
