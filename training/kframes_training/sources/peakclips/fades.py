"""Fades through black, which a detector of hard cuts passes over: the picture goes dark and comes back as another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DARK = 0.4  # of the brightness on either side: at 4 frames a second the darkest one of a 1-s fade has .25
LONGEST = 3.0  # seconds that a fade stays dark
SIDE = 1.5  # seconds before and after, of which the brightest frame counts
OTHER = 0.04  # share of the picture's colours that must have changed: a lamp that goes off and on changes none


def find_fades(
    times: Sequence[float], brightness: Sequence[float], colours: Sequence[NDArray[np.float32]]
) -> list[float]:
    """When one picture fades out and another in: the time of the darkest frame, seconds.

    Args:
        times: of all frames, seconds, ascending.
        brightness: of the brightest spot of every frame, >= 0.
        colours: share of every colour in every frame.
    """
    when, bright = np.asarray(times, np.float64), np.asarray(brightness, np.float64)
    found: list[float] = []
    index = 0
    while index < len(when):
        if not _is_low(when, bright, index):
            index += 1
            continue
        end = index
        while end + 1 < len(when) and _is_low(when, bright, end + 1):
            end += 1
        darkest = index + int(bright[index : end + 1].argmin())
        if when[end] - when[index] <= LONGEST and _differ(when, colours, index, end):
            found.append(float(when[darkest]))
        index = end + 1
    return found


def _is_low(when: NDArray[np.float64], bright: NDArray[np.float64], index: int) -> bool:
    """Whether a frame is dark against the brightest ones around, on both sides."""
    reach = LONGEST / 2 + SIDE
    before = bright[(when < when[index]) & (when >= when[index] - reach)]
    after = bright[(when > when[index]) & (when <= when[index] + reach)]
    return bool(len(before) and len(after) and bright[index] < DARK * min(before.max(), after.max()))


def _differ(when: NDArray[np.float64], colours: Sequence[NDArray[np.float32]], first: int, last: int) -> bool:
    """Whether the pictures before and after a dark run have other colours (fading frames are left out)."""
    gap = 0.5
    before = np.flatnonzero((when >= when[first] - gap - SIDE) & (when <= when[first] - gap))
    after = np.flatnonzero((when >= when[last] + gap) & (when <= when[last] + gap + SIDE))
    if not (len(before) and len(after)):
        return False
    one, other = (np.mean([colours[i] for i in side.tolist()], axis=0) for side in (before, after))
    return float(np.abs(one - other).sum() / 2) > OTHER
