"""From scores of the frames of many videos to clips of the best ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.from_scores import FLOOR_SHARE, RelevanceRule, clips_from_scores
from kframes_plugin.clips.geometry import candidate_edges
from kframes_plugin.evidence.fusion import estimate_looks, fuse, join
from kframes_plugin.evidence.ranking import Match
from kframes_plugin.types import Clip, Note

MOST_CLIPS = 3  # of one video
P1, P2 = 0.9, 0.75  # relevance of clips: above RelevanceRule's own, since other videos lie far below the best


@dataclass(frozen=True)
class Hit:
    """A video that fits a query.

    Attributes:
        video: its path.
        score: the chance that something in it fits, 0..1, by looks and by words.
        clips: where it fits, best first, at least one; their scores compare with those of other videos.
        duration: of the video, seconds.
    """

    video: str
    score: float
    clips: tuple[Clip, ...]
    duration: float


@dataclass(frozen=True)
class Hits(Sequence[Hit]):
    """The best videos for a query, best first.

    Attributes:
        query: what was asked.
        hits: at most k.
        searched: how many videos took part.
        errors: path -> why a video could not be indexed.
        notes: why there is none: nothing looks like the query, and no line says it.
    """

    query: str
    hits: tuple[Hit, ...]
    searched: int
    errors: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True)
class Scored:
    """The frames of one video with their scores.

    Attributes:
        video: its path.
        duration: seconds.
        times: (n,) seconds, rising.
        scores: (n,) comparable over all videos, higher is better.
        matches: passages of its words that answer the query.
    """

    video: str
    duration: float
    times: NDArray[np.float64]
    scores: NDArray[np.float64]
    matches: Sequence[Match] = ()


def rank(videos: Sequence[Scored], k: int) -> tuple[Hit, ...]:
    """The k videos with the best frames, and their clips.

    Relevance is scaled over all videos: 0 is what a tenth of all frames stay under, 1 the best frame.

    Args:
        videos: in any order.
        k: videos wanted, >= 1.
    """
    if not videos:
        return ()
    pooled = np.concatenate([one.scores for one in videos])
    floor, ceiling = float(np.quantile(pooled, FLOOR_SHARE, method="lower")), float(pooled.max())
    if ceiling <= floor:  # nothing tells them apart
        ceiling = floor + 1.0
    rule = RelevanceRule(P1, P2, floor=floor, ceiling=ceiling)
    best = sorted(videos, key=lambda one: (-_estimate(one, rule), -float(one.scores.max()), one.video))[:k]
    return tuple(_hit(one, rule) for one in best)


def _looks(scores: NDArray[np.float64], rule: RelevanceRule) -> NDArray[np.float64]:
    """(n,) chances by looks alone."""
    assert rule.floor is not None
    assert rule.ceiling is not None
    return estimate_looks(np.clip((scores - rule.floor) / (rule.ceiling - rule.floor), 0, 1))


def _estimate(one: Scored, rule: RelevanceRule) -> float:
    """The chance that something in a video fits."""
    words = max((match.chance for match in one.matches), default=0.0)
    return join([float(_looks(one.scores, rule).max()), words])


def _hit(one: Scored, rule: RelevanceRule) -> Hit:
    times, looks = one.times.tolist(), _looks(one.scores, rule)
    clips = [
        replace(clip, score=float(estimate_looks(clip.score or 0.0)))
        for clip in clips_from_scores(one.scores, times, one.duration, rule=rule)
    ]
    if not clips and not one.matches:  # it ranks among the best all the same: the frame that does it
        peak, edges = int(looks.argmax()), candidate_edges(times, one.duration)
        reason = f"score peaks at {times[peak]:.1f} s ({one.scores[peak]:.3f})"
        clips = [Clip(edges[peak], edges[peak + 1], "P2", reason, float(looks[peak]))]
    clips = fuse(clips, looks, times, one.matches)[:MOST_CLIPS]
    return Hit(one.video, _estimate(one, rule), tuple(clips), one.duration)
