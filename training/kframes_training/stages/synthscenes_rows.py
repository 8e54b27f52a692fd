"""SynthScenes as rows of ``images`` for TRL: what a pretrained model trains on. Pictures are drawn when read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any

from datasets import Dataset
from PIL import Image

from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat
from kframes_plugin.types import Candidates, Frame
from kframes_training.sources.synthscenes.language import Question, questions
from kframes_training.sources.synthscenes.paint import paint
from kframes_training.sources.synthscenes.tasks import STAGE1, STAGE2, candidate_times, make_task
from kframes_training.sources.synthscenes.world import Video, sample_video
from kframes_training.stages.grpo import grpo_row
from kframes_training.stages.sft import sft_row

TRIES = 1000  # draws of a task for a row; a video rarely lacks one


def paint_candidates(video: Video, candidates: int, size: tuple[int, int]) -> Candidates:
    """The candidate frames of a SynthScenes video, drawn instead of decoded; ``size`` is (width, height) in pixels."""
    times, stride = candidate_times(video.duration, candidates), video.duration / candidates
    frames = [Frame(time, stride, Image.fromarray(paint(video, time, size))) for time in times]
    return Candidates(frames, video.duration)


def sft_dataset(
    seeds: Sequence[int],
    *,
    candidates: int,
    size: tuple[int, int],
    tasks: Mapping[str, float],
    fmt: PromptFormat = DEFAULT_FORMAT,
    rows_per_video: int = 4,
) -> Dataset:
    """Rows of stages 1 and 2 on the videos of the seeds, tasks drawn by their shares.

    Args:
        seeds, candidates: of the videos; T.
        size: (width, height) of a frame, pixels.
        tasks: shares of the keys of STAGE1 and STAGE2.
        fmt: how times are written.
        rows_per_video: rows for every video.

    Raises:
        ValueError: an unknown task; or, when a row is read, a video that offers none of the tasks.
    """
    unknown = set(tasks) - {*STAGE1, *STAGE2}
    if unknown:
        raise ValueError(f"tasks must be among {', '.join([*STAGE1, *STAGE2])}; got {', '.join(sorted(unknown))}")
    specs = [{"seed": seed, "number": number} for seed in seeds for number in range(rows_per_video)]

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        rows = [_read(seed, number) for seed, number in zip(columns["seed"], columns["number"], strict=True)]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def _read(seed: int, number: int) -> dict[str, Any]:
        video, rng = sample_video(seed), Random(f"row {seed} {number}")
        where = [video.scene_at(time) for time in candidate_times(video.duration, candidates)]
        for _ in range(TRIES):
            kind = rng.choices(list(tasks), list(tasks.values()))[0]
            if task := make_task(kind, video.scenes, where, rng, fmt):
                return sft_row(paint_candidates(video, candidates, size), task.query, task.answer, fmt)
        raise ValueError(f"video {seed} offers none of the tasks {', '.join(tasks)}; add one that every video has")

    return Dataset.from_list(specs).with_transform(read)


def grpo_rows(
    seeds: Sequence[int],
    *,
    candidates: int,
    size: tuple[int, int],
    fmt: PromptFormat = DEFAULT_FORMAT,
    kinds: Collection[str] | None = None,
) -> tuple[list[dict[str, Any]], list[tuple[Video, Question]]]:
    """Rows of stage 3 on the videos of the seeds, drawn and held in memory, and the questions they number.

    64 frames of 56 x 56 pixels take .6 MB a video; larger ones are better left to :func:`grpo_dataset`.

    Args:
        seeds, candidates, size, fmt: as for :func:`sft_dataset`.
        kinds: of the questions; None: all. What the answerer cannot tell from the right frames either earns noise.
    """
    asked = [(video, question) for video, question in _asked(seeds) if kinds is None or question.kind in kinds]
    frames = {id(video): paint_candidates(video, candidates, size) for video, _ in asked}
    return [
        _row(frames[id(video)], number, video, question, fmt) for number, (video, question) in enumerate(asked)
    ], asked


def grpo_dataset(
    seeds: Sequence[int], *, candidates: int, size: tuple[int, int], fmt: PromptFormat = DEFAULT_FORMAT, first: int = 0
) -> tuple[Dataset, list[tuple[Video, Question]]]:
    """The same rows, drawn when they are read; the copies of a row in a batch share their pictures.

    They number the questions from ``first`` on.
    """
    asked = _asked(seeds)

    def read(columns: dict[str, list[int]]) -> dict[str, list[Any]]:
        drawn: dict[int, dict[str, Any]] = {}
        for number in columns["number"]:
            if number not in drawn:
                video, question = asked[number]
                drawn[number] = _row(paint_candidates(video, candidates, size), first + number, video, question, fmt)
        return {key: [drawn[number][key] for number in columns["number"]] for key in drawn[columns["number"][0]]}

    return Dataset.from_dict({"number": list(range(len(asked)))}).with_transform(read), asked


def _asked(seeds: Sequence[int]) -> list[tuple[Video, Question]]:
    videos = [sample_video(seed) for seed in seeds]
    return [
        (video, question)
        for seed, video in zip(seeds, videos, strict=True)
        for question in questions(video.scenes, Random(f"questions {seed}"))
    ]


def _row(frames: Candidates, number: int, video: Video, question: Question, fmt: PromptFormat) -> dict[str, Any]:
    return grpo_row(frames, question.text, number, question.answer, video.duration, fmt)
