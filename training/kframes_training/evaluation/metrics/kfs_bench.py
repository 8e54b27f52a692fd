"""KFS-Bench (arXiv 2512.14017, WACV 2026): frames against the scenes that a question needs.

A scene is the union of its segments, each [start, end + 1 s], closed: the published times are whole seconds, and a
segment that begins and ends in the same second lasts one second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.types import Span
from kframes_training.evaluation.statistics import ByVideo, Estimate, compare_metric, estimate_metric
from kframes_training.sources.datasets.kfs_bench import GRACE

EXPONENTS = np.arange(11) / 10
KFS_METRICS = ("kfr", "shr", "bsr", "bds", "ukss")


def kfs_scores(frames: Sequence[float], scenes: Sequence[Sequence[Span]], *, grace: float = GRACE) -> dict[str, float]:
    """The five scores of one selection.

    Args:
        frames: timestamps, seconds, in any order; one that comes twice counts twice.
        scenes: of every scene its segments (start, end), seconds, end >= start; a point has end = start.
        grace: seconds added to every end, >= 0: 1 for KFS-Bench's whole seconds, 0 where ends are exact.

    Returns:
        ``kfr``: share of the frames that lie in some scene. ``shr``: share of the scenes that hold a frame. ``bsr``:
        share of the scenes that hold their due, max(1, floor(the smaller of their share by length and by number)).
        ``bds``: best cosine between the frames a scene and its length to a power of 0, .1 ... 1. ``ukss``: cube root
        of kfr * bsr * bds. All 0 to 1; all 0 for an empty selection. A frame in two scenes counts once in kfr and
        once in each scene.

    Raises:
        ValueError: no scenes (an absent query has no such score), a scene without a segment, or end < start.
    """
    if not scenes:
        raise ValueError("KFS-Bench scores need at least one true scene; got none: leave such queries out, and say so")
    lengths, counts, hits = [], [], np.zeros(len(frames), bool)
    times = np.asarray(frames, np.float64).reshape(-1)
    for segments in scenes:
        inside, seconds = _inside(times, segments, grace)
        hits |= inside
        counts.append(int(inside.sum()))
        lengths.append(seconds)
    true = int(hits.sum())
    if not true:
        return dict.fromkeys(KFS_METRICS, 0.0)
    held, long = np.array(counts, np.float64), np.array(lengths, np.float64)
    shares = long / long.sum() if long.sum() else np.full(len(long), 1 / len(long))
    # floors as the published code takes them: share * n_tp first, then (1 / S) * n_tp
    due = np.maximum(1, np.floor(np.minimum(shares * true, np.full(len(long), 1 / len(long)) * true)))
    scores = {
        "kfr": true / len(times),
        "shr": float((held > 0).mean()),
        "bsr": float((held >= due).mean()),
        "bds": _balance(held, long),
    }
    return scores | {"ukss": (scores["kfr"] * scores["bsr"] * scores["bds"]) ** (1 / 3)}


def kfs_mean(items: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Over a data set: plain means, but of ``ukss`` the geometric mean of max(ukss, .01).

    Raises:
        ValueError: no item.
    """
    rows = list(items)
    return {name: estimate_metric(name, {"all": [row[name] for row in rows]}).mean for name in KFS_METRICS}


def ukss_mean(values: ByVideo) -> Estimate:
    """:func:`~kframes_training.evaluation.statistics.estimate_metric` of UKSS."""
    return estimate_metric("ukss", values)


def ukss_ratio(one: ByVideo, other: ByVideo) -> Estimate:
    """:func:`~kframes_training.evaluation.statistics.compare_metric` of UKSS: a ratio of geometric means."""
    return compare_metric("ukss", one, other)


def _inside(times: NDArray[np.float64], segments: Sequence[Span], grace: float) -> tuple[NDArray[np.bool_], float]:
    """Which frames lie in a scene, and its length: the sum of its segments, as published."""
    if not len(segments) or any(end < start for start, end in segments):
        raise ValueError(f"a scene needs at least one segment with start <= end; got {list(segments)}")
    start, end = np.asarray(segments, np.float64).T
    inside = ((times[:, None] >= start) & (times[:, None] <= end + grace)).any(axis=1)
    return inside, float((end + grace - start).sum())


def _balance(counts: NDArray[np.float64], lengths: NDArray[np.float64]) -> float:
    """max over a of cos(counts, lengths ** a); 0 ** 0 is 1, so a scene of no length still has its place at a = 0."""
    powers = lengths[:, None] ** EXPONENTS  # (scenes, 11)
    norms = np.linalg.norm(counts) * np.linalg.norm(powers, axis=0)
    cosines = np.divide(counts @ powers, norms, out=np.zeros_like(norms), where=norms > 0)
    return float(min(1.0, cosines.max()))
