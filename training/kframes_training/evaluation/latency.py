"""Seconds of one query as a user waits for it: through ``KFrames``, both predictions, first and second query on a video."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from statistics import median
from time import perf_counter

import torch

from kframes_plugin import KFrames
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.types import PREDICTION_KINDS, PredictionKind
from kframes_training.evaluation.bench import Settings
from kframes_training.evaluation.exam import exam_of
from kframes_training.evaluation.videos import video_on_disk


def latencies(folder: str, seeds: Sequence[int], settings: Settings, candidates: int) -> dict[str, dict[str, float]]:
    """Wall-clock seconds, medians over videos, with the torch threads that were used.

    Args:
        folder: of a checkpoint.
        seeds: of the videos.
        settings: of the run.
        candidates: T.

    Returns:
        prediction -> ``first`` (open the video, decode the candidates, see them, read, 8 frames) and ``next`` (another query
        on the open video, 8 frames), ``threads``.
    """
    log = logging.getLogger("kframes")  # notes on the selections: they are no news here
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        return {prediction: _waited(folder, prediction, seeds, settings, candidates) for prediction in PREDICTION_KINDS}
    finally:
        log.setLevel(level)


def _waited(
    folder: str, prediction: PredictionKind, seeds: Sequence[int], settings: Settings, candidates: int
) -> dict[str, float]:
    selector = MLLMSelector.from_pretrained(folder, device="cpu", prediction=prediction)
    kframes = KFrames(selector, candidates=candidates)
    first, second = [], []
    for seed in seeds:
        exam = exam_of(seed, settings.split)
        path = video_on_disk(exam.video, settings.videos)
        start = perf_counter()
        with kframes.open(path) as session:
            session.select(exam.texts[0])
            first.append(perf_counter() - start)
            start = perf_counter()
            session.select(exam.texts[1])
            second.append(perf_counter() - start)
    return {"first": median(first), "next": median(second), "threads": float(torch.get_num_threads())}
