"""Clips around the peaks of the scores, as F2C (arXiv 2510.02262) makes them: watershed basins, anchors, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, best_first, fill_up, finite, nan_first


def watershed(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    features: Floats | None = None,
    faithful: bool = False,
    anchors: int | None = None,
    **unused: Any,
) -> list[int]:
    """The frames of the clips around the anchors; the best-scored k of them where there are more.

    Anchors: the peak of every basin between two valleys of the scores, thinned to ``anchors`` by 1-D k-means. A clip
    reaches l candidates to both sides, l in 1..4k / anchors with the best mean score - .5 mean likeness of its
    frames + .05 l / l_max. Faithful: where the clips hold fewer than k frames, they are dropped for the top k.
    Mended: they are kept and filled up with the best of the rest.

    Args:
        features: (n, d) of unit norm; without them likeness counts as 0.
        anchors: most clips; None: k.
    """
    values = np.asarray(scores, np.float64) if faithful else finite(scores)
    basins = _peaks_of_basins(values)
    wanted = k if anchors is None else anchors
    places = basins if len(basins) <= wanted else _thin(basins, values, wanted)
    reach = max(1, 4 * k // max(1, len(places)))
    likeness = None if features is None else np.asarray(features, np.float64) @ np.asarray(features, np.float64).T
    inside = np.zeros(len(values), bool)
    for place in places:
        half = _half_length(values, place, reach, likeness)
        inside[max(0, place - half) : place + half + 1] = True
    chosen = np.flatnonzero(inside)
    order = nan_first if faithful else best_first
    if len(chosen) >= k:
        return sorted(int(i) for i in chosen[order(values[chosen])][:k])
    return sorted(int(i) for i in order(values)[:k]) if faithful else fill_up(chosen, values, k)


def _peaks_of_basins(values: Floats) -> list[int]:
    """The best frame between every two valleys (lower than the frame before, not higher than the one after)."""
    valleys = [i for i in range(1, len(values) - 1) if values[i - 1] > values[i] <= values[i + 1]]
    parts = np.split(np.arange(len(values)), valleys)
    return [int(part[np.argmax(values[part])]) for part in parts if len(part)]


def _thin(peaks: list[int], values: Floats, wanted: int) -> list[int]:
    """k-means over the peaks' places (Lloyd, started evenly); of each group its best peak."""
    places = np.array(peaks, np.float64)
    centres = np.quantile(places, (np.arange(wanted) + 0.5) / wanted)
    group = np.zeros(len(places), np.int64)
    for _ in range(50):
        group = np.argmin(np.abs(places[:, None] - centres), axis=1)
        moved = np.array([places[group == i].mean() if (group == i).any() else centres[i] for i in range(wanted)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return [max(np.array(peaks)[group == i].tolist(), key=lambda p: values[p]) for i in np.unique(group)]


def _half_length(values: Floats, place: int, most: int, likeness: Floats | None) -> int:
    best, found = 1, -np.inf
    for half in range(1, most + 1):
        part = np.arange(max(0, place - half), min(len(values), place + half + 1))
        worth = values[part].mean() + 0.05 * half / most
        if likeness is not None and len(part) > 1:
            block = likeness[np.ix_(part, part)]
            pairs = len(part) * (len(part) - 1)
            worth -= 0.5 * (block.sum() - block.trace()) / pairs
        if worth > found:
            best, found = half, worth
    return best
