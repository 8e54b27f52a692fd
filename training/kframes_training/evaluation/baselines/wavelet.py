"""What WFS-SB needs of signal processing, in numpy: the coarsest db4 detail of a signal, and peaks.

The numbers agree with PyWavelets (symmetric extension) and, but for peaks of equal height closer than the distance, with
scipy.signal.find_peaks; neither is needed.
"""

from __future__ import annotations

import numpy as np

from kframes_training.evaluation.baselines.common import Floats, Ints

# Daubechies-4 scaling filter (8 taps), decomposition order
LOW = np.array([-0.010597401784997278, 0.032883011666982945, 0.030841381835986965, -0.18703481171888114,
                -0.02798376941698385, 0.6308807679295904, 0.7148465705525415, 0.23037781330885523])  # fmt: skip
TAPS = len(LOW)
HIGH = LOW[::-1] * (-1.0) ** (np.arange(TAPS) + 1)


def max_level(count: int) -> int:
    """Most levels of a signal of that length."""
    return int(np.floor(np.log2(count / (TAPS - 1)))) if count >= TAPS - 1 else 0


def coarsest_detail(signal: Floats, level: int) -> Floats:
    """The part of the signal that its coarsest detail coefficients carry: (n,), all other coefficients 0."""
    lengths, approximation = [], signal
    detail = signal
    for _ in range(level):
        lengths.append(len(approximation))
        approximation, detail = _down(approximation, LOW), _down(approximation, HIGH)
    made = _up(detail, HIGH[::-1])[: lengths[-1]]
    for length in reversed(lengths[:-1]):
        made = _up(made, LOW[::-1])[:length]
    return made


def _down(signal: Floats, taps: Floats) -> Floats:
    """One level of decomposition: symmetric extension, filter, every second value; (n + 7) // 2 coefficients."""
    count = len(signal)
    places = np.arange(-(TAPS - 1), count + TAPS - 1) % (2 * count)
    extended = signal[np.where(places < count, places, 2 * count - 1 - places)]
    return np.convolve(extended, taps, "valid")[1::2][: (count + TAPS - 1) // 2]


def _up(coefficients: Floats, taps: Floats) -> Floats:
    """One level of reconstruction: 2 m - 6 values of m coefficients."""
    spaced = np.zeros(2 * len(coefficients))
    spaced[::2] = coefficients
    return np.convolve(spaced, taps)[TAPS - 2 : 2 * len(coefficients)]


def peaks(signal: Floats, *, height: float, prominence: float, distance: float) -> Ints:
    """Local maxima at least so high, so far above their surroundings, and so far apart (the higher ones stay).

    A plateau counts once, at its middle. Prominence: height above the higher of the lowest points on both sides, up
    to where the signal is higher.
    """
    found = [i for i in _maxima(signal) if signal[i] >= height]
    kept = np.ones(len(found), bool)
    for place in np.argsort([signal[i] for i in found], kind="stable")[::-1]:
        if kept[place]:
            for other, index in enumerate(found):
                if other != place and abs(index - found[place]) < np.ceil(distance):
                    kept[other] = False
    return np.array(
        [i for i, stays in zip(found, kept, strict=True) if stays and _prominence(signal, i) >= prominence], np.int64
    )


def _maxima(signal: Floats) -> list[int]:
    found, i, last = [], 1, len(signal) - 1
    while i < last:
        if signal[i - 1] < signal[i]:
            ahead = i + 1
            while ahead < last and signal[ahead] == signal[i]:
                ahead += 1
            if signal[ahead] < signal[i]:
                found.append((i + ahead - 1) // 2)
                i = ahead
        i += 1
    return found


def _prominence(signal: Floats, peak: int) -> float:
    sides = []
    for side in (signal[peak::-1], signal[peak:]):
        higher = np.flatnonzero(side > signal[peak])
        sides.append(side[: higher[0] if len(higher) else len(side)].min())
    return float(signal[peak] - max(sides))
