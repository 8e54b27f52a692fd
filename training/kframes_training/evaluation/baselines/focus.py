"""FOCUS (arXiv 2510.27280, ICLR 2026): the video as a bandit. Score a few frames an arm, then look closer at the best.

It is meant to score only part of the frames: :func:`explored` says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_training.evaluation.baselines.common import Floats, Ints, best_first, fill_up, finite, share

ARM_SECONDS, LEAST_ARMS = 16.0, 8
ZOOM_SHARE, ZOOM_LEAST, ZOOM_STRIDE = 0.25, 4, 1.0
TOP_SHARE = 0.2
BEST_SHARE, BEST_LEAST, BEST_MOST = 0.25, 4, 32
TEMPERATURE = 0.06


@dataclass(frozen=True)
class _Exploration:
    """What was scored: arm of every frame, the scored frames of the coarse and of both rounds, arms by falling UCB."""

    arms: Ints
    coarse: NDArray[np.bool_]
    scored: NDArray[np.bool_]
    ranked: Ints


def focus(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    seed: int = 42,
    faithful: bool = False,
    **unused: Any,
) -> list[int]:
    """20% of k from the best scored frames, the rest evenly from the best arms by softmax, with a least gap.

    Frames that were not scored get theirs from the neighbours by interpolation. Faithful: the fine scores never reach
    the arms' statistics, and where the gap leaves fewer than k, fewer are given. Mended: they do, and k is exact.

    Args:
        seed: of the frames tried in every arm and of the softmax.
    """
    values = np.asarray(scores, np.float64) if faithful else finite(scores)
    times = np.asarray(times, np.float64)
    rng = np.random.default_rng(seed)
    seen = _explore(values, times, duration, rng)
    known = np.flatnonzero(seen.scored)
    guess = np.interp(times, times[known], values[known])
    gap = min(0.25 * duration / k, 1.0)
    chosen: list[int] = []
    for index in known[best_first(values[known])][: max(1, round(TOP_SHARE * k))]:
        _take(chosen, int(index), times, gap, k)
    ranked = seen.ranked if faithful else _by_ucb(seen.arms, values, seen.scored)
    best = ranked[: int(np.clip(round(BEST_SHARE * len(ranked)), BEST_LEAST, BEST_MOST))]
    for arm, wanted in zip(best, share(np.ones(len(best)), k - len(chosen)), strict=True):
        members, have = np.flatnonzero(seen.arms == arm), len(chosen)
        for index in _by_softmax(members, guess[members], rng):
            if len(chosen) < have + wanted:
                _take(chosen, index, times, gap, k)
    return sorted(chosen) if faithful else fill_up(chosen, np.where(seen.scored, values, guess), k)


def explored(scores: Floats, times: Floats, duration: float, *, seed: int = 42) -> NDArray[np.bool_]:
    """(n,) which frames FOCUS has to score."""
    return _explore(finite(scores), np.asarray(times, np.float64), duration, np.random.default_rng(seed)).scored


def _explore(values: Floats, times: Floats, duration: float, rng: np.random.Generator) -> _Exploration:
    wanted = min(len(times), max(LEAST_ARMS, round(duration / ARM_SECONDS)))
    _, arms = np.unique(np.minimum((times / duration * wanted).astype(np.int64), wanted - 1), return_inverse=True)
    coarse = np.zeros(len(times), bool)
    for arm in range(int(arms.max()) + 1):
        members = np.flatnonzero(arms == arm)
        coarse[members[len(members) // 2]] = True
        others = members[~coarse[members]]
        coarse[rng.choice(others, min(2, len(others)), replace=False)] = True
    ranked, scored = _by_ucb(arms, values, coarse), coarse.copy()
    for arm in ranked[: max(ZOOM_LEAST, round(ZOOM_SHARE * len(ranked)))]:
        last = -np.inf
        for index in np.flatnonzero(arms == arm):
            if times[index] - last >= ZOOM_STRIDE - 1e-9:
                scored[index], last = True, times[index]
    return _Exploration(arms, coarse, scored, ranked)


def _by_ucb(arms: Ints, values: Floats, scored: NDArray[np.bool_]) -> Ints:
    """Arms by falling upper confidence bound (Bernstein): mean + sqrt(2 ln N var / n) + 3 ln N / n."""
    total = np.log(max(2, int(scored.sum())))
    bounds = []
    for arm in range(int(arms.max()) + 1):
        mine = values[(arms == arm) & scored]
        spread = max(float(mine.var()), 1e-6)
        bounds.append(mine.mean() + np.sqrt(2 * total * spread / len(mine)) + 3 * total / len(mine))
    return best_first(np.array(bounds))


def _by_softmax(members: Ints, values: Floats, rng: np.random.Generator) -> list[int]:
    """The frames of an arm in an order drawn without replacement by exp(score / .06): Gumbel noise, largest first."""
    return [int(i) for i in members[best_first(values / TEMPERATURE + rng.gumbel(size=len(members)))]]


def _take(chosen: list[int], index: int, times: Floats, gap: float, k: int) -> None:
    if len(chosen) < k and all(index != other and abs(times[index] - times[other]) >= gap for other in chosen):
        chosen.append(index)
