"""WFS-SB (arXiv 2603.00512, CVPR 2026): cut where the scores' wavelet detail peaks, share the budget, then MMR.

PyWavelets and SciPy (``pip install "kframes[train]"``) give wavelets and peaks; they are imported on use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, Ints, fill_up, finite, share

WAVELET = "db4"
WEIGHTS = (0.3, 0.4, 0.2, 0.1)  # of length, mean, maximum, variance ratio in a segment's importance


def wfs_sb(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    features: Floats | None = None,
    faithful: bool = False,
    lam: float = 0.5,
    **unused: Any,
) -> list[int]:
    """Segments between wavelet peaks; softmax of their importance shares k; in each the best frame, then MMR.

    Faithful: a NaN is taken as the best frame, and segments shorter than their share give fewer than k. Mended: exact.

    Args:
        features: (n, d) of unit norm for MMR; without them MMR sees relevance only.
        lam: weight of relevance in MMR, 0..1; the rest is unlikeness to what is chosen.
    """
    values = np.asarray(scores, np.float64) if faithful else finite(scores)
    parts = _segments(values)
    weight = np.exp(_importance(values, parts))
    room = None if faithful else [len(part) for part in parts]
    if not np.isfinite(weight).all():  # faithful, with a NaN: the softmax is NaN everywhere; all segments alike
        weight = np.ones(len(parts))
    budget = share(weight, k, room, [part[0] for part in parts])
    chosen = [i for part, n in zip(parts, budget, strict=True) for i in _mmr(values, part, n, features, lam)]
    return sorted(chosen) if faithful else fill_up(chosen, values, k)


def _segments(values: Floats) -> list[Ints]:
    """Cut the candidates at the peaks of |coarsest wavelet detail|."""
    from pywt import Wavelet, dwt_max_level
    from scipy.signal import find_peaks

    count = len(values)
    if count < 2:
        return [np.arange(count)]
    most = dwt_max_level(count, Wavelet(WAVELET).dec_len)
    detail = np.abs(_reconstruct_detail(values, int(np.clip(np.floor(np.log2(count) - 3), 1, max(1, most)))))
    cuts, _ = find_peaks(
        detail,
        height=float(detail.mean() + 0.5 * detail.std()),
        prominence=0.05 * float(np.ptp(detail)),
        distance=max(5.0, 0.02 * count),
    )
    return [part for part in np.split(np.arange(count), cuts) if len(part)]


def _reconstruct_detail(signal: Floats, level: int) -> Floats:
    """The part of the signal that its coarsest detail coefficients carry: (n,), all other coefficients 0.

    As pywt.waverec of pywt.wavedec, which warn of signals shorter than the wavelet.
    """
    from pywt import dwt, idwt

    lengths, approximation, detail = [], signal, signal
    for _ in range(level):
        lengths.append(len(approximation))
        approximation, detail = dwt(approximation, WAVELET, "symmetric")
    made = idwt(None, detail, WAVELET, "symmetric")
    for length in reversed(lengths[1:]):
        made = idwt(made[:length], None, WAVELET, "symmetric")
    whole: Floats = made[: len(signal)]
    return whole


def _importance(values: Floats, parts: list[Ints]) -> Floats:
    spread = float(values.var())
    rows = [
        (
            len(part) / len(values),
            values[part].mean(),
            values[part].max(),
            values[part].var() / spread if spread > 0 else 0.0,
        )
        for part in parts
    ]
    total: Floats = np.array(rows) @ np.array(WEIGHTS)
    return total


def _mmr(values: Floats, part: Ints, count: int, features: Floats | None, lam: float) -> list[int]:
    """The best frame, then each time the best of lam * score - (1 - lam) * likeness to the likest chosen one."""
    chosen: list[int] = []
    left, likest = list(part), np.full(len(values), -np.inf)
    while left and len(chosen) < count:
        worth = lam * values[left]
        if chosen and features is not None:
            likest[left] = np.maximum(likest[left], np.asarray(features)[left] @ np.asarray(features)[chosen[-1]])
            worth = worth - (1 - lam) * likest[left]
        chosen.append(int(left.pop(int(np.argmax(worth)))))
    return chosen
