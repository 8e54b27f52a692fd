"""The one door to anything that scores frames: a method ``scores``, one of a multimodal model, or kept embeddings.

Who needs scores (words as evidence, retrievers) asks here, so that each kind of scorer serves each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.types import Candidates, Frame, FrameEmbedder

BATCH = 32  # frames that are embedded together

Scores = Callable[[Sequence[Frame], str], ArrayLike]


def is_scorer(given: object) -> bool:
    """Whether something scores frames."""
    return find_scores(given) is not None


def find_scores(given: object) -> Scores | None:
    """The function (frames, query) -> (T,) scores of a scorer; None: it has none.

    Args:
        given: an object with ``scores`` (:class:`~kframes_plugin.types.FrameScorer`), with ``frame_scores`` as a
            multimodal model has it, or a :class:`~kframes_plugin.types.FrameEmbedder`.
    """
    for name in ("scores", "frame_scores"):
        if callable(method := getattr(given, name, None)):
            found: Scores = method
            return found
    return (lambda frames, query: _embed_and_score(given, frames, query)) if isinstance(given, FrameEmbedder) else None


def _embed_and_score(embedder: FrameEmbedder, frames: Sequence[Frame], query: str) -> ArrayLike:
    """Scores by rows, which are kept where the frames have a cache."""
    shown = frames if isinstance(frames, Candidates) else Candidates(frames, frames[-1].end)
    key = "rows", id(embedder)
    if key not in shown.cache:
        batches = [shown[start : start + BATCH] for start in range(0, len(shown), BATCH)]
        rows = np.concatenate([embedder.embed(batch) for batch in batches])
        starts = [start for start, _ in detect_scenes(shown, shown.duration)]
        places = np.searchsorted(starts, [frame.timestamp for frame in shown], side="right")
        numbers = np.unique(places, return_inverse=True)[1].astype(np.int64)
        shown.cache[key] = rows, numbers, embedder  # kept too, so that no other object gets its id
    kept: tuple[NDArray[np.floating[Any]], NDArray[np.int64], FrameEmbedder] = shown.cache[key]
    return embedder.score_embedded(kept[0], query, scenes=kept[1])
