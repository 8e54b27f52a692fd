"""Uniform sampling. Three conventions are in use; at k = 8 they differ by more than a point of accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats


def uniform_midpoint(
    scores: Floats, times: Floats, k: int, *, duration: float, faithful: bool = False, **unused: Any
) -> list[int]:
    """The middle of each of k equal parts: round((i + .5) n / k - .5). kframes' own convention."""
    count = len(times)
    k = k if faithful else min(k, count)
    return [min(count - 1, int(np.floor((i + 0.5) * count / k))) for i in range(k)]


def uniform_linspace(
    scores: Floats, times: Floats, k: int, *, duration: float, faithful: bool = False, **unused: Any
) -> list[int]:
    """From the first to the last: round(linspace(0, n - 1, k))."""
    count = len(times)
    k = k if faithful else min(k, count)
    return [int(index) for index in np.round(np.linspace(0, count - 1, k))]


def uniform_stride(
    scores: Floats, times: Floats, k: int, *, duration: float, faithful: bool = False, **unused: Any
) -> list[int]:
    """Every floor(n / k)-th from the first: the end of the video is not reached where k does not divide n."""
    count = len(times)
    k = k if faithful else min(k, count)
    return [i * (count // k) for i in range(k)]
