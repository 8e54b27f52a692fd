"""AKS, adaptive keyframe sampling (arXiv 2502.21271, CVPR 2025): halve the video until the top scores stand out.

Video-MME: t1 = .8, depth 5 (the default here); LongVideoBench: t1 = .2, depth 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kframes_training.evaluation.baselines.common import (
    Floats,
    Ints,
    best_first,
    best_spread,
    fill_up,
    finite,
    nan_first,
    share,
    unit,
)

Leaf = tuple[int, Ints]  # depth, candidates


def aks(
    scores: Floats,
    times: Floats,
    k: int,
    *,
    duration: float,
    faithful: bool = False,
    t1: float = 0.8,
    t2: float = -100.0,
    depth: int = 5,
    **unused: Any,
) -> list[int]:
    """Leaves of a binary tree over time, each with its share of the budget, and its best frames.

    A node is a leaf when mean(its k best) - mean(all of it) > t1 and its deviation > t2, or at the full depth.
    Faithful: a leaf at depth d gives int(k / 2^d) frames, so that with all 32 leaves there is none for k < 32, and
    nothing at all on constant scores. Mended: shares of 1 / 2^d by largest remainder, remainders to the leaves with
    the best frames first, of equals to some that lie apart.

    Args:
        t1, t2: thresholds on scores scaled to 0..1.
        depth: most halvings, >= 0.
    """
    if faithful:
        return _faithful(np.asarray(scores, np.float64), k, t1, t2, depth)
    values = unit(finite(scores))
    leaves = [leaf for leaf in _leaves(values, k, t1, t2, depth) if len(leaf[1])]
    # among equal remainders the leaf with the best frame goes first
    leaves.sort(key=lambda leaf: leaf[1][0])
    leaves = [leaves[place] for place in best_spread(np.array([values[part].max() for _, part in leaves]))]
    budget = share([2.0**-level for level, _ in leaves], min(k, len(values)), [len(part) for _, part in leaves])
    chosen = [int(i) for (_, part), n in zip(leaves, budget, strict=True) for i in part[best_first(values[part])][:n]]
    return fill_up(chosen, values, k)


def _faithful(scores: Floats, k: int, t1: float, t2: float, depth: int) -> list[int]:
    if len(scores) < k:
        return list(range(len(scores)))
    reach = scores.max() - scores.min()  # NaN where one score is
    if reach == 0:
        return []
    values = (scores - scores.min()) / reach
    leaves = _leaves(values, k, t1, t2, depth)
    return sorted(int(i) for level, part in leaves for i in part[nan_first(values[part])][: int(k / 2**level)])


def _leaves(values: Floats, k: int, t1: float, t2: float, depth: int) -> list[Leaf]:
    found: list[Leaf] = []
    left: list[Leaf] = [(0, np.arange(len(values)))]
    while left:
        level, part = left.pop()
        score = values[part]
        top = score[best_first(score)[:k]]
        apart = len(part) > 0 and top.mean() - score.mean() > t1 and score.std() > t2
        if apart or level == depth:
            found.append((level, part))
        else:
            middle = len(part) // 2
            left += [(level + 1, part[:middle]), (level + 1, part[middle:])]
    return found
