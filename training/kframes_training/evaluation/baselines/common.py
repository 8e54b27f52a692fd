"""What several baselines share: scores without holes, largest first, shares of k, and filling up to k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from kframes_plugin.clips.sharing import Floats as Floats
from kframes_plugin.clips.sharing import Ints as Ints
from kframes_plugin.clips.sharing import choose_best, share_by_remainder


def finite(scores: ArrayLike) -> Floats:
    """Scores (n,) where a NaN or -inf is the lowest finite score and +inf the highest; all 0 where none is finite."""
    values = np.array(scores, np.float64).reshape(-1)
    known = np.isfinite(values)
    if not known.any():
        return np.zeros_like(values)
    low, high = values[known].min(), values[known].max()
    replaced: Floats = np.where(known, values, np.where(values == np.inf, high, low))
    return replaced


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


def best_spread(scores: Floats) -> Ints:
    """Indices by falling score; of equals, however many are taken, those taken lie all over them.

    Equals come in the order of their places with the bits reversed: the first, the middle, the quarters ... (van der
    Corput, 1935).
    """
    order = best_first(scores)
    bounds = np.flatnonzero(np.diff(scores[order])) + 1
    return np.concatenate([group[_reverse_bits(len(group))] for group in np.split(order, bounds)])


def _reverse_bits(count: int) -> Ints:
    """The numbers 0..count-1 in the order of their reversed bits: 0, 2, 1, 3 for four."""
    numbers = np.arange(count)
    bits = max(1, int(count - 1).bit_length())
    reverse = sum(((numbers >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    return np.argsort(reverse).astype(np.int64)


def nan_first(scores: Floats) -> Ints:
    """Indices by falling score as torch.topk and heapq in the originals have it: a NaN counts as the highest."""
    return best_first(np.where(np.isnan(scores), np.inf, scores))


def fill_up(chosen: Iterable[int], scores: Floats, k: int) -> list[int]:
    """The first k distinct of ``chosen``, filled up with the best of the rest, in order of time.

    Of equal scores those are taken that lie all over the rest.
    """
    k = min(k, len(scores))
    kept = list(dict.fromkeys(int(index) for index in chosen))[:k]
    rest = np.setdiff1d(np.arange(len(scores)), kept)
    best = rest[choose_best(scores[rest], rest.astype(np.float64), k - len(kept))]
    return sorted([*kept, *best.tolist()])


def share(
    weights: ArrayLike, total: int, room: Sequence[int] | None = None, places: ArrayLike | None = None
) -> list[int]:
    """Share ``total`` in proportion to the weights by largest remainder, exactly, no part above its room.

    Args:
        weights: (m,) >= 0; equal shares where all are 0.
        total: >= 0.
        room: (m,) most a part can take; None: no limit. Where the room is less than ``total`` it is all taken.
        places: (m,) of the parts in time, rising: of equal remainders those that lie apart are served. None: the
            parts come best first, and the first are served.
    """
    weight = np.asarray(weights, np.float64)
    limit = np.full(len(weight), total) if room is None else np.asarray(room, np.int64)
    where = None if places is None else np.asarray(places, np.float64)
    given = share_by_remainder(min(total, int(limit.sum())), weight, np.ones(len(weight)), limit, where)
    return [int(part) for part in given]
