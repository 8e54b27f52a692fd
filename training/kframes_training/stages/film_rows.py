"""Videos of one's own -> what the trainers take: rows of ``images``, ``prompt`` and ``completion``, and those of GRPO.

Labels come from PeakClips, or from any file of spans or questions that ``sources/datasets`` reads. A label is a row of
``rows.py`` (stage1, stage2) with ``path``, the file of its video. Frames come from a :class:`CandidateCache`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, write_clips
from kframes_plugin.types import Clip, Frame
from kframes_training.rows import Row, clip_row, clips_in
from kframes_training.sources.datasets import Item
from kframes_training.sources.peakclips import store
from kframes_training.stages.candidate_cache import CandidateCache
from kframes_training.stages.grpo import grpo_row
from kframes_training.stages.questions import FilmedQuestion
from kframes_training.stages.sft import sft_row


def sft_dataset(labels: Sequence[Row], frames: CandidateCache, fmt: PromptFormat = DEFAULT_FORMAT) -> Dataset:
    """Rows of stages 1 and 2 for SFTTrainer, the columns of ``synthscenes_rows.sft_dataset``.

    Args:
        labels: of :func:`peakclips_labels` or :func:`moment_labels`.
        frames: the candidates.
        fmt: how the model reads and writes.
    """

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        made = []
        for label in (labels[number] for number in columns["number"]):
            shown = frames(label["path"])
            made.append(sft_row(shown, *write_task({**label, "duration": shown.duration}, shown, fmt), fmt))
        return {key: [row[key] for row in made] for key in made[0]}

    return Dataset.from_dict({"number": list(range(len(labels)))}).with_transform(read)


def grpo_dataset(
    asked: Sequence[FilmedQuestion], frames: CandidateCache, fmt: PromptFormat = DEFAULT_FORMAT, first: int = 0
) -> Dataset:
    """Rows of stage 3 for ``train_grpo``; they number the questions from ``first`` on."""

    def one(number: int) -> Row:
        question = asked[number]
        shown = frames(question.video)
        return grpo_row(shown, question.text, first + number, question.answer, shown.duration, fmt)

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        made = {number: one(number) for number in dict.fromkeys(columns["number"])}
        return {key: [made[number][key] for number in columns["number"]] for key in made[columns["number"][0]]}

    return Dataset.from_dict({"number": list(range(len(asked)))}).with_transform(read)


def peakclips_labels(folder: Path, stage: str, videos: Path | None = None, split: str | None = None) -> list[Row]:
    """The labels of stage "1" or "2" in a PeakClips data set.

    Args:
        folder: of the data set.
        stage: "1" or "2".
        videos: folder of the files; None: ``folder / "videos"``.
        split: of the data set; None: all.

    Raises:
        FileNotFoundError: a video is not there; the message says which.
        ValueError: a file has another content than the one that was annotated.
    """
    files = _find_files(folder, videos, split)
    return [{**row, "path": files[row["video_id"]]} for row in store.read(folder, f"stage{stage}", split)]


def peakclips_questions(folder: Path, videos: Path | None = None, split: str | None = None) -> list[FilmedQuestion]:
    """The questions of a PeakClips data set; arguments and errors as for :func:`peakclips_labels`."""
    files = _find_files(folder, videos, split)
    return [
        FilmedQuestion(
            files[row["video_id"]],
            row["question"],
            tuple(row["options"]),
            row["answer"],
            [(start, end) for start, end in row["evidence"]],
        )
        for row in store.read(folder, "questions", split)
    ]


def moment_labels(items: Iterable[Item], stage: str) -> list[Row]:
    """Labels of items with true spans: in stage "1" a description is found, in stage "2" a query gets its P1 clips.

    Items without spans are left out, but for those that say that nothing matches: in stage 2 they are answered by [].
    """
    labels = []
    for item in items:
        if not item.spans and not (item.absent and stage == "2"):
            continue
        clips = [clip_row(Clip(start, end)) for start, end in sorted(item.spans)]
        task = "ground" if stage == "1" else "absent" if item.absent else "moment"
        label = {"task": task, "query": item.query, "start": 0.0, "end": 0.0, "clips": clips, "answer": ""}
        labels.append({**label, "path": item.video})
    return labels


def item_questions(items: Iterable[Item]) -> list[FilmedQuestion]:
    """The items that have options and a known answer, as questions of stage 3."""
    return [
        FilmedQuestion(item.video, item.question, item.options, item.answer, item.spans)
        for item in items
        if item.answer is not None and len(item.options) > 1
    ]


def _find_files(folder: Path, videos: Path | None, split: str | None) -> dict[str, Path]:
    """The files of the videos of a data set, by id; each is the one that was annotated."""
    place = folder / "videos" if videos is None else videos
    return {row["video_id"]: _checked(row, place) for row in store.read(folder, "videos", split)}


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
