"""When the frames of a video come on screen and what each needs, small enough to stand in a page."""

from __future__ import annotations

import base64
import zlib
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_TICKS = 10**9  # a second
_FINEST = 10**5  # ticks a second of one gap: 90,000 in MPEG; finer fractions would fit the rounding of a float
_LOOKED_AT = 64  # distinct gaps; a video has one or two, of a variable rate a few hundred that share a clock


def pack_times(times: NDArray[np.float64]) -> dict[str, Any]:
    """Times as ``{"ticks": ticks a second, "gaps": [gap, count, ...]}``, or as ``{"seconds": [...]}``.

    Args:
        times: (n,) seconds, rising, the first 0.0.

    Returns:
        Of the first form ``sum of gaps / ticks`` is each time, to the last bit. An hour at a constant rate is one pair.
        Where no such clock is found, the seconds themselves.
    """
    gaps = np.diff(times)
    distinct = np.unique(np.round(gaps, 9), return_index=True)[1][:_LOOKED_AT]
    ticks = 1
    for gap in gaps[distinct].tolist():
        ticks = lcm(ticks, Fraction(gap).limit_denominator(_FINEST).denominator)
        if ticks > MOST_TICKS:
            break
    places: NDArray[np.float64] = np.rint(times * ticks)
    if ticks > MOST_TICKS or not np.array_equal(places / ticks, times):
        return {"seconds": times.tolist()}
    return {"ticks": ticks, "gaps": pack_runs(np.diff(places).astype(np.int64))}


def pack_counts(counts: NDArray[np.int64]) -> str:
    """(n,) whole numbers below 2**31: their differences as 32 bits each, little end first, deflated, as base64."""
    return base64.b64encode(zlib.compress(np.diff(counts, prepend=0).astype("<i4").tobytes())).decode("ascii")


def pack_runs(values: NDArray[np.int64]) -> list[int]:
    """[value, how often in a row, ...] of (n,) whole numbers."""
    if not len(values):
        return []
    heads = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1])
    counts = np.diff(np.concatenate([heads, [len(values)]]))
    runs: list[int] = np.stack([values[heads], counts], axis=1).ravel().tolist()
    return runs
