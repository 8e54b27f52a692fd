"""Q-Frame (arXiv 2506.22139, ICCV 2025): the k largest of log-softmax(scores / tau) + Gumbel noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, best_first, finite, nan_first


def qframe(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    seed: int = 0,
    faithful: bool = False,
    tau: float = 0.8,
    **unused: Any,
) -> list[int]:
    """Sampling without replacement in proportion to exp(score / tau).

    Faithful: on the raw scores (near random on cosines, which hardly differ) and without a seed, so every call gives
    another answer. Mended: on z-scores, seeded.

    Args:
        tau: temperature, > 0.
    """
    values = np.asarray(scores, np.float64) if faithful else finite(scores)
    if not faithful:
        spread = values.std()
        values = (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
    noise = np.random.default_rng(None if faithful else seed).gumbel(size=len(values))
    noisy = values / tau + noise  # the log-softmax only shifts all alike
    order = nan_first(noisy) if faithful else best_first(noisy)
    return sorted(int(index) for index in order[:k])
