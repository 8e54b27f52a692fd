"""Means by metric, intervals by bootstrap over videos, paired differences, McNemar's exact test.

Items of one video are not independent, so whole videos are resampled. A metric has one mean (:data:`MEANS`), in tables
and in differences: :func:`estimate_metric` and :func:`compare_metric`. The seed is fixed: same arguments, same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import scipy  # its parts load on use; imported here so that a missing one shows before hours of work, not after
from numpy.typing import NDArray

DRAWS = 2000
SEED = 0
LEVEL = 0.95
FLOOR = 0.01  # of a value in a geometric mean: KFS-Bench's for UKSS

Mean = Literal["arithmetic", "geometric"]
MEANS: Mapping[str, Mean] = {
    # frames against scenes (KFS-Bench)
    "kfr": "arithmetic",
    "shr": "arithmetic",
    "bsr": "arithmetic",
    "bds": "arithmetic",
    "ukss": "geometric",
    # clips against true clips
    "iou": "arithmetic",
    "R@0.3": "arithmetic",
    "R@0.5": "arithmetic",
    "R@0.7": "arithmetic",
    "precision": "arithmetic",
    "recall": "arithmetic",
    "over": "arithmetic",
    "empty": "arithmetic",
    # frames against true keyframes (LV-Haystack)
    "f1": "arithmetic",
    "f1_kept": "arithmetic",
    "annd": "arithmetic",
    "skipped": "arithmetic",
    # answers
    "right": "arithmetic",
}

ByVideo = Mapping[str, Sequence[float]]  # video -> the values of its items, in a fixed order


class Estimate(NamedTuple):
    """A mean over all items with the interval of 95% that resampling videos gives it.

    Attributes:
        mean: over items.
        low, high: 2.5th and 97.5th percentile of the mean over resampled videos; nan for fewer than 2 videos.
        count: items.
    """

    mean: float
    low: float
    high: float
    count: int  # type: ignore[assignment]  # a tuple has a method of that name


def plain(one: Estimate) -> list[float | None]:
    """For JSON, which has no nan."""
    return [value if math.isfinite(value) else None for value in one]


def estimate(values: ByVideo, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """The mean over items, and its interval by resampling whole videos.

    Args:
        values: of every video; videos without an item do not count.
        draws: resamplings.
        seed: of the resamplings.

    Raises:
        ValueError: no item at all.
    """
    kept = [row for row in values.values() if len(row)]
    if not kept:
        raise ValueError("an estimate needs at least one item; got none")
    sums, counts = np.array([sum(row) for row in kept]), np.array([float(len(row)) for row in kept])
    mean, items = float(sums.sum() / counts.sum()), int(counts.sum())
    if len(kept) < 2:
        return Estimate(mean, float("nan"), float("nan"), items)
    weights = _weights(len(kept), draws, seed)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile((weights @ sums) / (weights @ counts), [tail, 100 - tail])
    return Estimate(mean, float(low), float(high), items)


def estimate_metric(metric: str, values: ByVideo, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """The mean that a metric is reported with, and its interval by resampling whole videos.

    Args:
        metric: a key of :data:`MEANS`. A geometric mean is exp(mean log max(value, .01)).
        values: of every video; an item for which a selector found nothing counts with its score 0, not left out.
        draws: resamplings.
        seed: of the resamplings.

    Raises:
        ValueError: the metric is unknown, or there is no item.
    """
    if not _is_geometric(metric):
        return estimate(values, draws=draws, seed=seed)
    return _exponentiate(estimate(_take_logs(values), draws=draws, seed=seed))


def compare_metric(metric: str, one: ByVideo, other: ByVideo, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """Compare two selectors in the mean that the metric is reported with, paired, with an interval.

    Args:
        metric: a key of :data:`MEANS`.
        one, other: the same items of the same videos, in the same order.
        draws: resamplings.
        seed: of the resamplings.

    Returns:
        Of an arithmetic mean ``one`` - ``other``, where 0 says they are equal. Of a geometric mean their ratio, where
        1 says so.

    Raises:
        ValueError: the metric is unknown, or they share no video or have different numbers of items in one.
    """
    if not _is_geometric(metric):
        return difference(one, other, draws=draws, seed=seed)
    return _exponentiate(difference(_take_logs(one), _take_logs(other), draws=draws, seed=seed))


def _is_geometric(metric: str) -> bool:
    if metric not in MEANS:
        raise ValueError(f"metric must be one of {', '.join(MEANS)}; got {metric!r}. For other values use estimate()")
    return MEANS[metric] == "geometric"


def _take_logs(values: ByVideo) -> dict[str, list[float]]:
    return {video: [math.log(max(value, FLOOR)) for value in row] for video, row in values.items()}


def _exponentiate(one: Estimate) -> Estimate:
    return Estimate(math.exp(one.mean), math.exp(one.low), math.exp(one.high), one.count)


def difference(one: ByVideo, other: ByVideo, *, draws: int = DRAWS, seed: int = SEED) -> Estimate:
    """Mean of ``one`` - ``other`` on the same items of the same videos (those that both have), with its interval.

    Raises:
        ValueError: they share no video, or have different numbers of items in one.
    """
    return estimate(
        {video: [a - b for a, b in zip(one[video], other[video], strict=True)] for video in one if video in other},
        draws=draws,
        seed=seed,
    )


def discordant(one: ByVideo, other: ByVideo) -> tuple[int, int]:
    """Items that only ``one`` has right, and that only ``other`` has right (values 0 or 1)."""
    pairs = [pair for video in one if video in other for pair in zip(one[video], other[video], strict=True)]
    return sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)


def mcnemar(only_one: int, only_other: int) -> float:
    """p of McNemar's exact test, two-sided: were both equally good, each discordant item would be a fair coin.

    Args:
        only_one, only_other: from :func:`discordant`, >= 0.
    """
    total = only_one + only_other
    return float(scipy.stats.binomtest(only_one, total).pvalue) if total else 1.0


@lru_cache(maxsize=16)
def _weights(videos: int, draws: int, seed: int) -> NDArray[np.float64]:
    """(draws, videos): how often every video is drawn."""
    return np.random.default_rng(seed).multinomial(videos, [1 / videos] * videos, size=draws).astype(np.float64)
