"""Clips of one query from what is seen, what is said and what stands on screen. Pure, numpy only.

Each kind of evidence is a chance, 0..1, that a moment answers the query. Where kinds meet they are joined by a noisy
or: the moment answers unless every kind is wrong (Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kframes_plugin.evidence.ranking import Match
from kframes_plugin.types import Clip

KEPT, TOP = 1 / 3, 1 / 2  # shares of the best chance: below the first a clip is dropped, from the second on it is P1
STEEPNESS, OFFSET = 6.5, 7.0  # of lite's curve, on real clips (LOG.md): .04 at relevance .6, .38 at 1


def join(chances: Sequence[float]) -> float:
    """The chance that at least one kind of evidence is right."""
    return 1.0 - float(np.prod([1.0 - chance for chance in chances]))


def estimate_looks(relevance: ArrayLike) -> NDArray[np.float64]:
    """(n,) relevance of looks within a video, 0..1, as chances."""
    return 1 / (1 + np.exp(OFFSET - STEEPNESS * np.asarray(relevance, np.float64)))


def fuse(clips: Sequence[Clip], looks: ArrayLike, times: Sequence[float], matches: Sequence[Match]) -> list[Clip]:
    """Join the clips of looks with passages that match.

    A passage is a clip of its own; looks, and passages of the other kind at the same moment, raise its chance. A clip
    of looks keeps its span and gains the chance of passages inside it only where they fill half of it: else it would
    be a long clip for a short line.

    Args:
        clips: what looks alone say.
        looks: (n,) chances of the candidates by looks; all 0 where looks say nothing.
        times: (n,) timestamps of the candidates, seconds, rising.
        matches: passages that answer the query.

    Returns:
        Clips, best first, with chances as scores and reasons that say which evidence speaks for them. Without a match
        the clips as they came.
    """
    if not matches:
        return list(clips)
    seen, at = np.asarray(looks, np.float64), np.asarray(times, np.float64)
    made = [_fuse_match(match, clips, seen, at, matches) for match in _merge(matches)]
    for clip in clips:
        inside = (at >= clip.start) & (at < clip.end)
        chances = [float(seen[inside].max())] if inside.any() else [0.0]
        filling = [one for one in matches if _overlap(one, clip) >= clip.length / 2]
        chance = join(chances + _best_by_kind(filling))
        reason = "; ".join([clip.reason, *dict.fromkeys(one.reason for one in filling)])
        made.append(replace(clip, score=chance, reason=reason))
    best = max(clip.score or 0.0 for clip in made)
    kept = [clip for clip in made if (clip.score or 0.0) >= KEPT * best]
    ranked = sorted(kept, key=lambda clip: (-(clip.score or 0.0), clip.start))
    return [replace(clip, priority="P1" if (clip.score or 0.0) >= TOP * best else "P2") for clip in ranked]


def clips_of_matches(matches: Sequence[Match]) -> list[Clip]:
    """Clips of passages alone, best first."""
    return fuse([], [], [], matches)


def _fuse_match(
    match: Match, clips: Sequence[Clip], seen: NDArray[np.float64], at: NDArray[np.float64], matches: Sequence[Match]
) -> Clip:
    """The clip of one passage, with all that is known of its moment."""
    same = [one for one in matches if _overlap(one, match) > 0]
    shown = (at >= match.start) & (at < match.end)
    if len(at) and not shown.any():  # a line between two candidates: the one on screen
        shown[max(0, int(np.searchsorted(at, match.start, side="right")) - 1)] = True
    looks = float(seen[shown].max()) if shown.any() else 0.0
    texts = list(dict.fromkeys([match.reason, *(one.reason for one in same)]))
    texts += [clip.reason for clip in clips if clip.reason and _overlap(match, clip) > 0][:1]
    return Clip(match.start, match.end, "P1", "; ".join(texts), join([looks, *_best_by_kind(same)]))


def _best_by_kind(matches: Sequence[Match]) -> list[float]:
    """The best chance of each kind of words: two lines of one kind are no independent evidence."""
    best: dict[str, float] = {}
    for match in matches:
        best[match.kind] = max(best.get(match.kind, 0.0), match.chance)
    return list(best.values())


def _merge(matches: Sequence[Match]) -> list[Match]:
    """Passages, best first, without those that a better one of the other kind holds mostly."""
    kept: list[Match] = []
    for match in sorted(matches, key=lambda one: -one.chance):
        if all(_overlap(match, one) < 0.5 * (match.end - match.start) for one in kept):
            kept.append(match)
    return kept


def _overlap(one: Match | Clip, other: Match | Clip) -> float:
    """Seconds that both share."""
    return max(0.0, min(one.end, other.end) - max(one.start, other.start))
