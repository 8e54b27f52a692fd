"""Hard scores, and what a selector makes of them; for conformance.py."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

import numpy as np

from kframes_plugin.clips.allocation import allocate
from kframes_plugin.clips.from_scores import PROBABILITY, clips_from_scores
from kframes_plugin.types import Strategy
from kframes_training.evaluation.baselines import BASELINES
from kframes_training.evaluation.baselines.common import Floats, finite
from kframes_training.evaluation.metrics.conformance import conformance, jaccard_over_seeds

KS = (1, 2, 3, 7, 8, 31, 33, 64, 100)
SEEDS = range(5)
COUNT, FEW, STRIDE, WIDTH = 600, 5, 2.0, 16  # candidates, of the small case, seconds between them, of the features
CASES = ("constant", "n < k", "spike", "NaN", "ordinary")
CHECKS = ("exact", "distinct", "ordered", "in_range")
Select = Callable[..., list[int]]


def make_scores(case: str, k: int) -> Floats:
    """The scores of a case: (600,), or (min(5, k - 1),) of the case with fewer candidates than k."""
    ordinary = np.random.default_rng(0).random(COUNT)
    if case == "constant":
        return np.full(COUNT, 0.3)
    if case == "spike":
        return np.where(np.arange(COUNT) == COUNT // 3, 1.0, 0.0)
    if case == "NaN":
        return np.where(np.arange(COUNT) == COUNT // 3, np.nan, ordinary)
    return ordinary[: max(1, min(FEW, k - 1))] if case == "n < k" else ordinary


def make_features(count: int) -> Floats:
    """Unit-norm features that change slowly: (count, 16)."""
    walk = np.cumsum(np.random.default_rng(1).normal(size=(count, WIDTH)), axis=0)
    made: Floats = walk / np.linalg.norm(walk, axis=1, keepdims=True)
    return made


def kframes(strategy: Strategy, scores: Floats, times: Floats, k: int, *, duration: float, **unused: Any) -> list[int]:
    """kframes' own way from scores to k candidates: clips where the scores are high, then allocation."""
    clips = clips_from_scores(finite(scores), times.tolist(), duration, rule=PROBABILITY)
    place = {float(time): index for index, time in enumerate(times)}
    return [place[time] for time in allocate(clips, k, times, duration, strategy=strategy)]


def list_selectors() -> dict[str, Select]:
    """Name -> selector: kframes, then every baseline in both modes."""
    ours: dict[str, Select] = {
        f"kframes {strategy}": partial(kframes, strategy) for strategy in ("auto", "focused", "hybrid", "uniform")
    }
    for mode, faithful in (("mended", False), ("faithful", True)):
        ours |= {f"{name}, {mode}": partial(select, faithful=faithful) for name, select in BASELINES.items()}
    return ours


def try_out(select: Select, case: str, k: int) -> dict[str, Any]:
    """One cell: the promises kept by the answers to all seeds, how alike they are, or the error."""
    scores = make_scores(case, k)
    times = (np.arange(len(scores)) + 0.5) * STRIDE
    given: dict[str, Any] = {
        "duration": len(scores) * STRIDE,
        "features": make_features(len(scores)),
        "truth": ((3, 9),),
    }
    begin = process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # numpy on NaN, in the faithful modes
            answers = [select(scores.copy(), times, k, seed=seed, **given) for seed in SEEDS]
            again = select(scores.copy(), times, k, seed=SEEDS[0], **given)
    except (ValueError, IndexError, ZeroDivisionError, FloatingPointError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    kept = [conformance(answer, len(scores), k) for answer in answers]
    return {
        **{check: all(one[check] for one in kept) for check in CHECKS},
        "stable": again == answers[0],
        "given": len(answers[0]),
        "took_nan": bool(len(scores) == COUNT and np.isnan(scores).any() and COUNT // 3 in answers[0]),
        "jaccard": round(jaccard_over_seeds(answers), 4),
        "seconds": round((process_time() - begin) / (len(SEEDS) + 1), 6),
    }
