"""Charades-STA: ``charades_sta_test.txt``, lines "3MSZA 24.3 30.4##person turn a light on.": video, span, sentence.

Videos are ``<video>.mp4``. An end that is written a little after the end of the video is left as it is.
"""

from __future__ import annotations

from pathlib import Path

from kframes_training.sources.datasets.files import Row, find_video, gathered
from kframes_training.sources.datasets.items import Data, Item


def read(file: Path, videos: Path) -> Data:
    """All sentences; there is nothing to answer.

    Args:
        file: the .txt.
        videos: folder of the videos.
    """
    lines = [
        (number, line) for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if line.strip()
    ]

    def make(row: Row) -> Item:
        head, marks, sentence = row["line"].partition("##")
        parts = head.split()
        if not marks or len(parts) != 3:
            raise ValueError(f'a line must be "video start end##sentence"; got {row["line"]!r}')
        span = float(parts[1]), float(parts[2])
        name = f"{parts[0]}#{row['number']}"
        return Item(name, find_video(videos, parts[0], ("videos",)), sentence.strip(), scenes=((span,),))

    return gathered("charades-sta", [(f"line {n}", {"line": line, "number": n}) for n, line in lines], make)
