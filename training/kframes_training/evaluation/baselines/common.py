"""What several baselines share: scores without holes, largest first, shares of k, and filling up to k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def finite(scores: ArrayLike) -> Floats:
    """(n,) scores in which a NaN or -inf is the lowest finite score and +inf the highest; all 0 where none is finite."""
    values = np.array(scores, np.float64).reshape(-1)
    known = np.isfinite(values)
    if not known.any():
        return np.zeros_like(values)
    low, high = values[known].min(), values[known].max()
    filled: Floats = np.where(known, values, np.where(values == np.inf, high, low))
    return filled


def unit(values: Floats) -> Floats:
    """Scaled to 0..1; all 0 where they are constant."""
    reach = float(np.ptp(values)) if len(values) else 0.0
    return (values - values.min()) / reach if reach else np.zeros_like(values)


def unit_rows(rows: ArrayLike) -> Floats:
    """(n, d) rows of length 1; a row of zeros stays."""
    values = np.asarray(rows, np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    units: Floats = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return units


def best_first(scores: Floats) -> Ints:
    """Indices by falling score; ties go to the lower index."""
    return np.argsort(-scores, kind="stable").astype(np.int64)


def nan_first(scores: Floats) -> Ints:
    """Indices by falling score as torch.topk and heapq in the originals have it: a NaN counts as the highest."""
    return best_first(np.where(np.isnan(scores), np.inf, scores))


def filled(chosen: Iterable[int], scores: Floats, k: int) -> list[int]:
    """The first k distinct of ``chosen``, filled up with the best of the rest, in order of time."""
    kept = list(dict.fromkeys(int(index) for index in chosen))[:k]
    have = set(kept)
    for index in best_first(scores):
        if len(kept) >= min(k, len(scores)):
            break
        if int(index) not in have:
            kept.append(int(index))
    return sorted(kept)


def shares(weights: ArrayLike, total: int, room: Sequence[int] | None = None) -> list[int]:
    """``total`` shared in proportion to the weights by largest remainder, exactly, no part above its room.

    Args:
        weights: (m,) >= 0; equal shares where all are 0.
        total: >= 0.
        room: (m,) most a part can take; None: no limit. Where the room is less than ``total`` it is all taken.
    """
    weight = np.asarray(weights, np.float64)
    limit = np.full(len(weight), total) if room is None else np.asarray(room)
    given, total = np.zeros(len(weight), np.int64), min(total, int(limit.sum()))
    while left := total - int(given.sum()):
        open_ = given < limit
        mass = np.where(open_, weight, 0.0)
        mass = mass if mass.sum() > 0 else open_.astype(np.float64)
        want = mass / mass.sum() * left
        whole = np.minimum(np.floor(want + 1e-12).astype(np.int64), limit - given)
        given += whole
        if rest := min(left - int(whole.sum()), int((given < limit).sum())):
            remainder = np.where(given < limit, want - np.floor(want + 1e-12), -np.inf)
            given[np.argsort(-remainder, kind="stable")[:rest]] += 1
    return [int(part) for part in given]
