"""Who takes which k frames for one query: the baselines from the candidates, kframes from the whole video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.types import Clip, Span, Strategy
from kframes_training.evaluation.baselines import BASELINES

KFRAMES = "kframes auto"
FOCUSED, HYBRID = "kframes focused", "kframes hybrid"
ON_CANDIDATES, FROM_SCORES = "kframes auto, candidates only", "kframes auto, clips from the same scores"
ORACLE = "oracle, any frame"


@dataclass(frozen=True)
class Material:
    """What there is to choose from for one query.

    Attributes:
        scores: (T,), one a candidate; the same for all.
        times: (T,) of the candidates, seconds.
        features: (T, width) of unit norm.
        duration: seconds.
        timestamps: (n,) of all frames of the video, seconds.
        scenes: between the candidates, for a query without clips.
        written: the clips that kframes' selector wrote, ends on cuts, as a user gets them.
        unmoved: the same before their ends moved to cuts between the candidates.
        read: the clips that kframes reads from ``scores``, ends on cuts.
        truth: the true spans: for the oracles only.
    """

    scores: NDArray[np.float64]
    times: NDArray[np.float64]
    features: NDArray[np.float64]
    duration: float
    timestamps: NDArray[np.float64]
    scenes: Sequence[Span]
    written: Sequence[Clip]
    unmoved: Sequence[Clip]
    read: Sequence[Clip]
    truth: Sequence[Span]


Pick = Callable[[Material, int], list[float]]


def _baseline(name: str, one: Material, k: int) -> list[float]:
    given = {"duration": one.duration, "features": one.features, "truth": one.truth}
    return [float(one.times[i]) for i in BASELINES[name](one.scores, one.times, k, **given)]


def _kframes(strategy: Strategy, one: Material, k: int) -> list[float]:
    return allocate(one.written, k, one.timestamps, one.duration, strategy=strategy, scenes=one.scenes)


def _on_candidates(one: Material, k: int) -> list[float]:
    return allocate(one.unmoved, k, one.times, one.duration, scenes=one.scenes)


def _from_scores(one: Material, k: int) -> list[float]:
    return allocate(one.read, k, one.timestamps, one.duration, scenes=one.scenes)


def _oracle(one: Material, k: int) -> list[float]:
    clips = [Clip(start, end) for start, end in one.truth]
    return allocate(clips, k, one.timestamps, one.duration, strategy="focused")


PICKS: Mapping[str, Pick] = {
    **{name: partial(_baseline, name) for name in BASELINES if name != "oracle"},
    KFRAMES: partial(_kframes, "auto"),
    FOCUSED: partial(_kframes, "focused"),
    HYBRID: partial(_kframes, "hybrid"),
    ON_CANDIDATES: _on_candidates,
    FROM_SCORES: _from_scores,
    "oracle, candidates": partial(_baseline, "oracle"),
    ORACLE: _oracle,
}
OURS = (KFRAMES, FOCUSED, HYBRID, ON_CANDIDATES, FROM_SCORES)
RIVALS = tuple(name for name in BASELINES if name != "oracle")
