"""Shares k frames over parts of a video: by largest remainder, or by expected coverage. Pure, numpy only.

Where parts are worth the same and k is too small for all of them, those that get a frame are spread over time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DIGITS = 9  # decimals in which two worths must differ: sums of lengths differ by rounding in the twelfth


def spread(places: Floats, k: int) -> Ints:
    """Choose k of the places so that they lie evenly between the first and the last.

    Args:
        places: (m,) ascending.
        k: 0..m.

    Returns:
        (k,) distinct indices, ascending: those nearest to the middles of k equal parts.
    """
    order, count = np.arange(k), len(places)
    if k in (0, count):
        return order
    targets = places[0] + (order + 0.5) / k * (places[-1] - places[0])
    nearest = np.searchsorted((places[1:] + places[:-1]) / 2, targets)
    distinct = np.maximum.accumulate(nearest - order) + order
    chosen: Ints = np.minimum(distinct, count - k + order)
    return chosen


def choose_best(worth: Floats, places: Floats | None, k: int) -> Ints:
    """Choose the k indices of the most worth; of equals for which k is too small, some spread over their places.

    Args:
        worth: (m,).
        places: (m,) ascending, seconds or any other order. None: the equals come best first, so the first are taken.
        k: 0..m.

    Returns:
        (k,) distinct indices, ascending.
    """
    if not k:
        return np.zeros(0, dtype=np.int64)
    if places is None:
        return np.sort(np.argsort(-worth, kind="stable")[:k])
    edge = np.sort(worth)[len(worth) - k]
    better, equal = np.flatnonzero(worth > edge), np.flatnonzero(worth == edge)
    return np.sort(np.concatenate([better, equal[spread(places[equal], k - len(better))]]))


def share_by_remainder(k: int, wanted: Floats, weight: Floats, room: Ints, places: Floats | None) -> Ints:
    """Share k by largest remainder, exactly; equal remainders are served spread over their places.

    Args:
        k: >= 0 and at most ``room.sum()``.
        wanted: (m,) >= 0; k is shared in proportion to it.
        weight: (m,) > 0; shares what is left when those who wanted more are full.
        room: (m,) the most that each can take, >= 0.
        places: (m,) ascending. None: of equal remainders the first are served.

    Returns:
        (m,) counts, whose sum is k.
    """
    counts = np.zeros(len(room), dtype=np.int64)
    while k > 0:
        free = room - counts > 0
        share = np.where(free, wanted, 0.0)
        if share.sum() <= 0:
            share = np.where(free, weight, 0.0)
        exact = k * share / share.sum()
        whole = np.floor(exact + 10.0**-DIGITS).astype(np.int64)
        step = np.minimum(whole, room - counts)
        able = np.flatnonzero((room - counts - step > 0) & (share > 0))
        left = min(k - int(whole.sum()), len(able))
        remainder = np.round(exact - whole, DIGITS)[able]
        step[able[choose_best(remainder, None if places is None else places[able], left)]] += 1
        counts += step
        k -= int(step.sum())
    return counts


def spread_by_coverage(
    weights: ArrayLike,
    frames: ArrayLike,
    k: int,
    *,
    lengths: ArrayLike | None = None,
    decay: float = 0.5,
    features: ArrayLike | None = None,
    discount: float = 0.5,
) -> Ints:
    """Share k frames over scenes by expected coverage, each further frame of a scene being worth less.

    The next frame goes to the scene with the largest weight * decay ** n, where n is how many it already has: k is
    hedged where the weights are unsure. Where they are sure (0 or 1), all of k goes to the sure scenes; with
    ``lengths`` in proportion to length, as "focused" does it.

    Args:
        weights: (m,) >= 0 and finite: how likely each scene is to matter, in time order. Only ratios count.
        frames: (m,) frames that each scene holds, >= 0.
        k: frames wanted, >= 0.
        lengths: (m,) seconds, > 0; a scene twice as long as the mean decays half as fast. None: all are equal.
        decay: worth of the next frame of a scene over that of the one before, 0 < decay < 1; small values spread more.
        features: (m, d) what each scene looks like. The first time a scene gets a frame, the weight of every other
            is multiplied by 1 - discount * cosine of the two around the mean of all. None: looks do not count.
        discount: 0..1; used with ``features`` only.

    Returns:
        (m,) counts whose sum is min(k, frames.sum()), none above ``frames``. Scenes of weight 0 get frames only when
        all others are full. Without ``features`` a scene never loses frames when its weight grows.

    Raises:
        ValueError: a value is out of its range, or the arguments differ in length.
    """
    weight, room = np.asarray(weights, dtype=np.float64), np.asarray(frames, dtype=np.int64)
    length = np.ones(len(room)) if lengths is None else np.asarray(lengths, dtype=np.float64)
    _check_coverage(weight, room, length, k, decay, discount)
    alike = None if features is None else _cosines(np.asarray(features, dtype=np.float64), len(room))
    with np.errstate(divide="ignore"):
        worth = np.log(weight)  # logarithms, for decay ** n is 0 for large n
    places, counts = np.arange(len(room), dtype=np.float64), np.zeros(len(room), dtype=np.int64)
    left = min(k, int(room.sum()))
    while left:
        free = counts < room
        if np.isneginf(worth[free]).all():
            worth = np.zeros(len(room))
        gain = np.where(free, np.round(worth + _exponent(counts, length) * np.log(decay), DIGITS), -np.inf)
        equal = np.flatnonzero(gain == gain.max())
        if alike is None:
            served = equal[spread(places[equal], min(left, len(equal)))]
        else:
            served = equal[[_farthest(equal, np.flatnonzero(counts))]]
            worth = _discounted(worth, alike, int(served[0]), discount) if not counts[served[0]] else worth
        counts[served] += 1
        left -= len(served)
    return counts


def _exponent(counts: Ints, length: Floats) -> Floats:
    """How many times a scene's weight has decayed: n at the mean length, less in longer scenes.

    Scenes of one weight fill up by the divisors of Sainte-Lague (1910), that is in proportion to their lengths.
    """
    fallen: Floats = np.where(counts > 0, np.maximum((counts + 0.5) * length.mean() / length - 0.5, 0.0), 0.0)
    return fallen


def _check_coverage(weight: Floats, room: Ints, length: Floats, k: int, decay: float, discount: float) -> None:
    if not weight.shape == room.shape == length.shape == (len(room),):
        raise ValueError(
            f"weights, frames and lengths must be lists of one length; got {weight.shape}, {room.shape}, {length.shape}"
        )
    if not (np.isfinite(weight).all() and (weight >= 0).all() and (room >= 0).all() and (length > 0).all()):
        least = [float(values.min()) for values in (weight, room, length) if len(values)]
        raise ValueError(f"weights must be finite and >= 0, frames >= 0 and lengths > 0; the least are {least}")
    if k < 0 or not 0 < decay < 1 or not 0 <= discount <= 1:
        raise ValueError(f"k must be >= 0, decay between 0 and 1, discount in 0..1; got {k}, {decay}, {discount}")


def _cosines(features: Floats, count: int) -> Floats:
    """(m, m) cosines of the features around their mean; 0 for a scene that looks like the mean."""
    if features.ndim != 2 or len(features) != count or not np.isfinite(features).all():
        raise ValueError(f"features must have shape ({count}, d) and be finite; got shape {features.shape}")
    around = features - features.mean(axis=0)
    norms = np.linalg.norm(around, axis=1, keepdims=True)
    unit = np.divide(around, norms, out=np.zeros_like(around), where=norms > 1e-12)
    cosines: Floats = np.clip(unit @ unit.T, -1.0, 1.0)
    return cosines


def _farthest(equal: Ints, served: Ints) -> int:
    """Which of these scenes lies farthest from all that have a frame; the middle one where none has."""
    if not len(served):
        return (len(equal) - 1) // 2
    return int(np.abs(equal[:, None] - served).min(axis=1).argmax())


def _discounted(worth: Floats, alike: Floats, scene: int, discount: float) -> Floats:
    """The logarithmic worths after a scene got its first frame."""
    with np.errstate(divide="ignore"):
        factor = np.log(np.maximum(1.0 - discount * alike[scene], 0.0))
    factor[scene] = 0.0
    lowered: Floats = worth + factor
    return lowered
