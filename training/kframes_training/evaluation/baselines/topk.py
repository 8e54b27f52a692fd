"""Top-k by score: plain, with a gap in time, and one a bucket."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, best_spread, fill_up, finite, nan_first


def top_k(
    scores: Floats, times: Floats, k: int, *, duration: float, faithful: bool = False, **unused: Any
) -> list[int]:
    """The k largest. Of equals that k is too small for, some that lie apart; faithful: the first, and a NaN is best."""
    if faithful:
        return sorted(int(index) for index in nan_first(scores)[:k])
    return fill_up((), finite(scores), k)


def top_k_gap(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    faithful: bool = False,
    gap: float | None = None,
    **unused: Any,
) -> list[int]:
    """Best first, none nearer than ``gap`` to one already taken.

    Args:
        gap: seconds; None: .25 duration / k. Where it leaves fewer than k, faithful stops and mended halves it. Of
            equals faithful tries the first first, mended some that lie apart.
    """
    gap = 0.25 * duration / k if gap is None else gap
    values = np.array(scores, np.float64) if faithful else finite(scores)
    order = nan_first(values) if faithful else best_spread(values)
    chosen: list[int] = []
    while len(chosen) < k:
        for index in order:
            if len(chosen) < k and all(index != j and abs(times[index] - times[j]) >= gap for j in chosen):
                chosen.append(int(index))
        if faithful or gap < 1e-6:
            break
        gap /= 2
    return sorted(chosen) if faithful else fill_up(chosen, values, k)


def stratified(
    scores: Floats, times: Floats, k: int, *, duration: float, faithful: bool = False, **unused: Any
) -> list[int]:
    """The best of each of k equal buckets of candidates. Faithful: an empty bucket (n < k) is an error, NaN wins."""
    values = np.asarray(scores, np.float64) if faithful else finite(scores)
    k = k if faithful else min(k, len(values))
    edges = np.arange(k + 1) * len(values) // k
    return [int(a + np.argmax(values[a:b])) for a, b in pairwise(edges)]
