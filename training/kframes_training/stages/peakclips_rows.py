"""PeakClips -> what the trainers take: rows of ``images``, ``prompt`` and ``completion`` for SFT, of GRPO for stage 3.

The pictures are decoded when a row is read. The videos are looked for in one folder, by the names in the table
``videos``; a file with another content is refused.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, write_clips
from kframes_plugin.types import Candidates, Frame, Span
from kframes_plugin.video import OpenVideo
from kframes_training.rows import Row, clips_in
from kframes_training.sources.peakclips import store
from kframes_training.stages.grpo import grpo_row
from kframes_training.stages.sft import sft_row

HELD = 4  # videos whose candidates are kept: neighbouring rows are of the same video


class VideoFrames:
    """Candidate frames of the videos of a data set.

    Args:
        folder: of the data set.
        videos: folder of the files; None: ``folder / "videos"``.
        candidates: T.
        size: (width, height) of a frame, pixels.
        split: of the data set; None: all.

    Raises:
        FileNotFoundError: a video is not there; the message says which.
        ValueError: a file has another content than the one that was annotated.
    """

    def __init__(
        self, folder: Path, videos: Path | None, candidates: int, size: tuple[int, int], split: str | None = None
    ) -> None:
        self.candidates, self.size = candidates, size
        self.files = {
            row["video_id"]: _checked(row, videos or folder / "videos") for row in store.read(folder, "videos", split)
        }
        self._held: OrderedDict[str, Candidates] = OrderedDict()

    def __call__(self, video_id: str) -> Candidates:
        """The candidates of a video."""
        if video_id not in self._held:
            with OpenVideo(self.files[video_id]) as video:
                self._held[video_id] = video.candidates(self.candidates, self.size)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return self._held[video_id]


def sft_dataset(
    folder: str | Path,
    *,
    stage: str,
    candidates: int,
    size: tuple[int, int],
    fmt: PromptFormat = DEFAULT_FORMAT,
    videos: str | Path | None = None,
    split: str | None = None,
) -> Dataset:
    """Rows of stage "1" or "2" for SFTTrainer, the columns of ``synthscenes_rows.sft_dataset``.

    Args:
        folder: of the data set.
        stage: "1" or "2".
        candidates, size, videos, split: as :class:`VideoFrames`.
        fmt: how the model reads and writes.
    """
    if stage not in ("1", "2"):
        raise ValueError(f'stage must be "1" or "2"; got {stage!r}')
    frames = VideoFrames(Path(folder), Path(videos) if videos else None, candidates, size, split)
    rows = store.read(folder, f"stage{stage}", split)

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        made = []
        for row in (rows[number] for number in columns["number"]):
            shown = frames(row["video_id"])
            made.append(sft_row(shown, *write_task(row, shown, fmt), fmt))
        return {key: [row[key] for row in made] for key in made[0]}

    return Dataset.from_dict({"number": list(range(len(rows)))}).with_transform(read)


def grpo_dataset(
    folder: str | Path,
    *,
    candidates: int,
    size: tuple[int, int],
    fmt: PromptFormat = DEFAULT_FORMAT,
    videos: str | Path | None = None,
    split: str | None = None,
) -> tuple[Dataset, list[Row]]:
    """Rows of stage 3 for ``train_grpo``, and the rows of questions that they number.

    Args:
        folder, candidates, size, fmt, videos, split: as :func:`sft_dataset`.
    """
    frames = VideoFrames(Path(folder), Path(videos) if videos else None, candidates, size, split)
    asked = store.read(folder, "questions", split)

    def one(number: int) -> Row:
        row = asked[number]
        shown = frames(row["video_id"])
        return grpo_row(shown, row["question"], number, row["answer"], shown.duration, fmt)

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        made = {number: one(number) for number in dict.fromkeys(columns["number"])}
        return {key: [made[number][key] for number in columns["number"]] for key in made[columns["number"][0]]}

    return Dataset.from_dict({"number": list(range(len(asked)))}).with_transform(read), asked


def list_evidence(asked: Sequence[Row]) -> list[list[Span]]:
    """List the spans that hold the answer of every question, as ``rewards.oracle_answerer`` takes them."""
    return [[(start, end) for start, end in row["evidence"]] for row in asked]


def write_task(row: Row, frames: Sequence[Frame], fmt: PromptFormat) -> tuple[str, str]:
    """Write what is asked and what is to be answered in a row of stage 1 or 2, times as ``fmt`` says."""
    times, duration = [frame.timestamp for frame in frames], row["duration"]
    span = _written(row, times, fmt)
    if row["task"] == "describe":
        return f"describe {span}", row["answer"]
    if row["task"] == "score":
        return f"rate {span}: {row['query']}", row["answer"]
    query = f"find: {row['query']}" if row["task"] == "ground" else row["query"]
    return query, write_clips(clips_in(row), duration, fmt=fmt, times=times)


def _written(row: Row, times: Sequence[float], fmt: PromptFormat) -> str:
    if fmt.time_format == "seconds":
        return f"{row['start']:.1f} to {row['end']:.1f}"
    inside = [index for index, time in enumerate(times) if row["start"] <= time < row["end"]]
    middle = (row["start"] + row["end"]) / 2
    if not inside:
        inside = [min(range(len(times)), key=lambda index: abs(times[index] - middle))]
    return f"{inside[0]} to {inside[-1] + 1}"


def _checked(row: Row, folder: Path) -> Path:
    names = (row["file"], row["video_id"] + Path(row["file"]).suffix)  # as it was, or as it lies in a data set
    path: Path | None = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} has no {row['file']}; get it from its source, or build with --with-videos")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != row["sha256"]:
        raise ValueError(f"{path} is not the file that was annotated: SHA-256 {digest}, not {row['sha256']}")
    return path
