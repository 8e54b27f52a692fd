"""LV-Haystack: the parquet of LVHaystack/LongVideoHaystack.

Columns: video_id, vclip_id, question, options (A to E), answer (letter), frame_indexes_video and frame_indexes_vclip
(the true frames), video_metadata (frame_rate, video_duration, vclip_duration, vclip_interval_in_video ...). Truth is
points: index / frame_rate. The videos are Ego4D's; where only the cut clips (``<vclip_id>.mp4``) are there, those are
used.
"""

from __future__ import annotations

from pathlib import Path

from kframes_plugin.prompt.choices import LETTERS
from kframes_training.sources.datasets.files import (
    Row,
    answer_index,
    find_video,
    gathered,
    groups_of,
    numbered,
    read_rows,
)
from kframes_training.sources.datasets.items import Data, Item


def read(file: Path, videos: Path) -> Data:
    """All questions.

    Args:
        file: .parquet, .json or .jsonl.
        videos: folder of the videos or of the clips.
    """

    def make(row: Row) -> Item:
        options, known = row["options"], row["video_metadata"]
        if isinstance(options, dict):  # a parquet struct has all five, those that are not there are null
            options = [options[letter] for letter in LETTERS if options.get(letter)]
        whole, clip = (find_video(videos, str(row[name]), ("videos", "clips")) for name in ("video_id", "vclip_id"))
        cut = clip.is_file() and not whole.is_file()
        frames = row["frame_indexes_vclip" if cut else "frame_indexes_video"]
        rate = float(known["frame_rate"])
        if rate <= 0:
            raise ValueError(f"frame_rate must be above 0; got {rate}")
        length = known.get("vclip_duration" if cut else "video_duration")
        return Item(
            id=str(row.get("question_id") or f"{row['vclip_id']}/{row['number']}"),
            video=clip if cut else whole,
            query=row["question"],
            question=row["question"],
            options=tuple(options),
            answer=answer_index(row.get("answer"), options),
            points=tuple(sorted({index / rate for index in frames})),
            duration=float(length) if length else None,
            groups=groups_of(row, ("split",)),
        )

    return gathered(
        "lv-haystack",
        [(name, {**row, "number": n}) for n, (name, row) in enumerate(numbered(read_rows(file)), 1)],
        make,
    )
