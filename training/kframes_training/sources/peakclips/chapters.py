"""Scenes -> chapters: runs of neighbouring scenes that are alike, by their captions' words, by their colours, or both.

A method is written "grouping:measure". Groupings: "neighbours" parts two scenes that are unlike; "linkage" joins the
two neighbouring groups that are most alike on average, again and again while they are alike enough.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.types import Span

GROUPINGS, MEASURES = ("neighbours", "linkage"), ("captions", "colours", "both")
# Likeness under which groups stay apart: best mean boundary F1 on 60 SynthScenes videos of the train split
# (benchmarks/peakclips_chapters.py): .427, .746, .740, .419, .868, .859
THRESHOLDS = {
    "neighbours:captions": 0.15,
    "neighbours:colours": 0.25,
    "neighbours:both": 0.20,
    "linkage:captions": 0.20,
    "linkage:colours": 0.25,
    "linkage:both": 0.20,
}
_WORD = re.compile(r"\w+")


def group(
    captions: Sequence[str], colours: Sequence[Sequence[float]], method: str, threshold: float | None = None
) -> list[list[int]]:
    """Indices of the scenes of every chapter, in time order.

    Args:
        captions: of the scenes, in time order.
        colours: shares of 64 colours of every scene.
        method: a key of THRESHOLDS.
        threshold: likeness under which groups stay apart, 0 to 1; None: the method's own.

    Raises:
        ValueError: an unknown method.
    """
    if method not in THRESHOLDS:
        raise ValueError(f"grouping must be one of {', '.join(THRESHOLDS)}; got {method!r}")
    limit = THRESHOLDS[method] if threshold is None else threshold
    grouping, measure = method.split(":")
    likeness = alike(captions, colours, measure)
    groups = [[index] for index in range(len(captions))]
    if grouping == "neighbours":
        return _parted(likeness, limit)
    while len(groups) > 1:
        links = [float(likeness[np.ix_(one, other)].mean()) for one, other in pairwise(groups)]
        best = max(range(len(links)), key=links.__getitem__)
        if links[best] < limit:
            break
        groups[best : best + 2] = [groups[best] + groups[best + 1]]
    return groups


def _parted(likeness: NDArray[np.float64], limit: float) -> list[list[int]]:
    groups = [[0]] if len(likeness) else []
    for index in range(1, len(likeness)):
        if likeness[index - 1, index] < limit:
            groups.append([])
        groups[-1].append(index)
    return groups


def alike(captions: Sequence[str], colours: Sequence[Sequence[float]], measure: str) -> NDArray[np.float64]:
    """(n, n) likeness of scenes, 0 to 1: cosine of captions' weighted words, shared colours, or the mean of both."""
    parts = []
    if measure in ("captions", "both"):
        parts.append(_words_alike(captions))
    if measure in ("colours", "both"):
        shares = np.asarray(colours, np.float64)
        parts.append(np.minimum(shares[:, None], shares[None]).sum(-1))
    mean: NDArray[np.float64] = np.mean(parts, axis=0)
    return mean


def _words_alike(captions: Sequence[str]) -> NDArray[np.float64]:
    """Cosines of tf-idf vectors; words that every scene has weigh nothing."""
    counts = [Counter(_WORD.findall(caption.lower())) for caption in captions]
    within = Counter(word for words in counts for word in words)
    index = {word: place for place, word in enumerate(sorted(within))}
    vectors = np.zeros((len(captions), max(1, len(index))))
    for row, words in enumerate(counts):
        for word, count in words.items():
            vectors[row, index[word]] = count * math.log(len(captions) / within[word])
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    cosines: NDArray[np.float64] = units @ units.T
    return cosines


def inner_ends_f1(found: Sequence[Span], true: Sequence[Span], tolerance: float = 1.0) -> float:
    """F1 of the inner boundaries of chapters, 0 to 1.

    A boundary is right within ``tolerance`` seconds of a true one that no other has taken.
    Where neither side has a boundary they agree: 1.
    """
    ours, theirs = [span[0] for span in found[1:]], [span[0] for span in true[1:]]
    if not ours and not theirs:
        return 1.0
    left, right = list(theirs), 0
    for time in ours:
        near = min(left, key=lambda other: abs(other - time), default=None)
        if near is not None and abs(near - time) <= tolerance:
            left.remove(near)
            right += 1
    return 2 * right / (len(ours) + len(theirs))
