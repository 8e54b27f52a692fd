"""BOLT (arXiv 2503.21483, CVPR 2025): inverse transform sampling of the scores taken as a density."""

from __future__ import annotations

from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, finite, unit


def bolt(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    faithful: bool = False,
    power: float = 1.0,
    **unused: Any,
) -> list[int]:
    """The frames at which the summed scores pass k levels.

    Faithful: the levels are linspace(1/k, 1 - 1/k, k), so k = 1 gives the last frame, k = 2 the same frame twice, and
    a frame of high score comes several times. Mended: levels (i + .5) / k, each frame once; what doubled is sampled
    anew from the mass that is left.

    Args:
        power: of the scores scaled to 0..1; more is peakier.
    """
    if faithful:
        values = np.asarray(scores, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mass = ((values - values.min()) / (values.max() - values.min())) ** power
            cdf = np.cumsum(mass / mass.sum())
        return [int(i) for i in np.searchsorted(cdf, np.linspace(1 / k, 1 - 1 / k, k))]
    mass = unit(finite(scores)) ** power
    chosen: set[int] = set()
    k = min(k, len(mass))
    while missing := k - len(chosen):
        mass[list(chosen)] = 0.0
        if mass.sum() <= 0:  # nothing but constant or empty scores left: all that is left is alike
            mass = np.ones(len(mass))
            mass[list(chosen)] = 0.0
        cdf = np.cumsum(mass)
        chosen |= {int(i) for i in np.searchsorted(cdf, cdf[-1] * (np.arange(missing) + 0.5) / missing)}
    return sorted(chosen)
