"""MDP3 (arXiv 2501.02885, ICCV 2025): a determinantal point process over relevance and diversity, chosen greedily.

K(x, y) = sum over a in {1/8, 1/4, 1/2, 1, 2} of exp(-|x - y|^2 / 2a). Gain of frame i: (2 / lam) log K(q, i) +
log d_i^2, with d_i^2 what the frames chosen so far leave of K(i, i) (incremental Cholesky).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, fill_up, finite, unit_rows

BANDWIDTHS = np.array([0.125, 0.25, 0.5, 1.0, 2.0])
TINY = 1e-10  # what is left of a frame that the chosen ones span wholly


def mdp3(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    features: Floats | None = None,
    query: Floats | None = None,
    faithful: bool = False,
    lam: float = 0.2,
    segment: int | None = None,
    **unused: Any,
) -> list[int]:
    """Greedy over the whole video, or by segments with dynamic programming over (segment, frames chosen).

    Args:
        features: (n, d) of unit norm; needed.
        query: (d,) of unit norm; None: the scores are taken as its cosines.
        lam: less is more relevance.
        segment: frames a segment, 0 for no segments; None: 0 (mended), 32 (faithful, where n must be a multiple of it).

    Raises:
        ValueError: no features; faithful: n is no multiple of the segment.
    """
    if features is None:
        raise ValueError(
            "mdp3 needs the features of the frames (n, d) as well as their scores; give a scorer that has them"
        )
    size = segment if segment is not None else 32 if faithful else 0
    points = np.asarray(features, np.float64)
    values = np.asarray(scores, np.float64) if faithful else finite(scores)
    if faithful and size and len(values) % size:
        raise ValueError(f"{len(values)} frames cannot be cut into segments of {size}")
    if not faithful:
        points = unit_rows(np.nan_to_num(points, nan=0.0, posinf=0.0, neginf=0.0))
        k = min(k, len(values))
    cosines = values if query is None else points @ np.asarray(query, np.float64)
    cosines = cosines if faithful else np.clip(finite(cosines), -1, 1)
    worth = (2 / lam) * np.log(_kernel(2 - 2 * cosines))
    alike = _kernel(np.maximum(2 - 2 * points @ points.T, 0.0))
    chosen = _by_segments(worth, alike, k, size) if size else _greedy(worth, alike, k)[0]
    return sorted(chosen) if faithful else fill_up(chosen, values, k)


def _kernel(squared: Floats) -> Floats:
    """Sum of Gaussians of squared distances of any shape."""
    total: Floats = np.exp(-squared[..., None] / (2 * BANDWIDTHS)).sum(-1)
    return total


def _greedy(
    worth: Floats, alike: Floats, k: int, given: Sequence[int] = (), pool: Sequence[int] | None = None
) -> tuple[list[int], list[float]]:
    """Up to k frames of the pool, each the best after ``given`` and those before it; the sum of gains after each."""
    columns = np.concatenate([np.asarray(given, np.int64), np.arange(len(worth)) if pool is None else np.asarray(pool)])
    gram, gain, before = alike[np.ix_(columns, columns)], worth[columns], len(given)
    left = gram.diagonal().copy()  # d^2
    free = np.arange(len(columns)) >= before
    k = min(k, int(free.sum()))
    factors = np.zeros((before + k, len(columns)))
    chosen: list[int] = []
    sums = [0.0]
    for step in range(before + k):
        pivot = step
        if step >= before:
            gains = np.where(free, gain + np.log(np.maximum(left, TINY)), -np.inf)
            pivot = int(np.argmax(gains))
            free[pivot] = False
            chosen.append(int(columns[pivot]))
            sums.append(sums[-1] + float(gains[pivot]))
        rest = max(float(left[pivot]), TINY) ** 0.5
        factors[step] = (gram[pivot] - factors[:step, pivot] @ factors[:step]) / rest
        left -= factors[step] ** 2
    return chosen, sums


def _by_segments(worth: Floats, alike: Floats, k: int, size: int) -> list[int]:
    """Best sum over segments in order; the gain of a segment depends on what was chosen in the one before (Markov)."""
    states: dict[int, tuple[float, list[int], tuple[int, ...]]] = {0: (0.0, [], ())}
    for start in range(0, len(worth), size):
        pool = range(start, min(start + size, len(worth)))
        after: dict[int, tuple[float, list[int], tuple[int, ...]]] = {}
        for have, (value, chosen, last) in states.items():
            taken, sums = _greedy(worth, alike, min(size, k - have), last, pool)
            for extra in range(len(taken) + 1):
                total = value + sums[extra]
                if have + extra not in after or total > after[have + extra][0]:
                    mine = tuple(taken[:extra])
                    after[have + extra] = (total, [*chosen, *mine], mine)
        states = after
    return states[max(states)][1]
