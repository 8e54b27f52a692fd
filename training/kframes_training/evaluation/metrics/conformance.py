"""Does a selector give what was asked for: exactly k, distinct, in order, in range, the same for every seed?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise


def conformance(chosen: Sequence[int], count: int, k: int) -> dict[str, bool]:
    """Which promises a selection keeps.

    Args:
        chosen: indices of the chosen candidates, as the selector gave them.
        count: n, candidates there were.
        k: frames asked for.

    Returns:
        ``exact``: min(k, n) distinct candidates of the range, and nothing else. ``distinct``: none twice. ``ordered``:
        never going back in time. ``in_range``: all of 0..n-1.
    """
    in_range = all(0 <= index < count for index in chosen)
    distinct = len(set(chosen)) == len(chosen)
    return {
        "exact": in_range and distinct and len(chosen) == min(k, count),
        "distinct": distinct,
        "ordered": all(one <= other for one, other in pairwise(chosen)),
        "in_range": in_range,
    }


def jaccard_over_seeds(selections: Sequence[Sequence[int]]) -> float:
    """How alike the selections of several seeds are: mean of |both| / |either| over all pairs, 0 to 1.

    Two empty selections are alike. Fewer than two selections: 1.
    """
    pairs = list(combinations([set(one) for one in selections], 2))
    alike = [len(one & other) / len(one | other) if one | other else 1.0 for one, other in pairs]
    return sum(alike) / len(alike) if alike else 1.0
