"""Shares k frames over clips: ``allocate(clips, k, timestamps, duration)`` -> timestamps. Pure and deterministic.

Method: clip2frame of K-frames (arXiv 2510.13891): a clip gets frames in proportion to weight(priority) * length,
by largest remainder, equally spaced inside it. The paper does not give its weights nor the dense and sparse parts
of its hybrid sampling; here they are the named parameters of :class:`Allocation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.sharing import Floats as Floats
from kframes_plugin.clips.sharing import Ints, choose_best, share_by_remainder, spread_by_coverage
from kframes_plugin.text import quoted
from kframes_plugin.types import STRATEGIES, Clip, Span, Strategy

TINY = 1e-9  # seconds: the length of an area that has a frame but hardly any time


@dataclass(frozen=True, slots=True)
class Allocation:
    """How k is spent.

    Attributes:
        p1_weight: weight of a second of a P1 clip, > 0.
        p2_weight: weight of a second of a P2 clip, > 0.
        dense_share: hybrid's share of k that goes inside the clips, 0..1; the rest is spread over what is outside.
        focused_up_to: ``auto`` is focused up to this k, hybrid above. 8 is the paper's choice.
        spread_over: ``auto`` is hybrid for every k when the clips cover more than this share of the video, 0..1,
            for then the evidence is spread.
        unsure_below: ``auto`` hedges when all clips have scores and none reaches this, 0..1: the best is then more
            likely wrong than right. 0: it never hedges.
        decay: where k is hedged, worth of a clip's next frame over that of the one before, 0 < decay < 1.
        outside_chance: where k is hedged, what a stretch between clips is worth beside their scores, 0..1.

    Raises:
        ValueError: a value is out of its range.
    """

    p1_weight: float = 1.0
    p2_weight: float = 0.5
    dense_share: float = 0.75
    focused_up_to: int = 8
    spread_over: float = 0.5
    unsure_below: float = 0.5
    decay: float = 0.5
    outside_chance: float = 0.005

    def __post_init__(self) -> None:
        if not (self.p1_weight > 0 and self.p2_weight > 0):
            raise ValueError(f"weights must be > 0; got p1_weight={self.p1_weight}, p2_weight={self.p2_weight}")
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must lie between 0 and 1; got {self.decay}")
        for name in ("dense_share", "spread_over", "unsure_below", "outside_chance"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1; got {getattr(self, name)}")


DEFAULT = Allocation()


def allocate(
    clips: Sequence[Clip],
    k: int,
    timestamps: Floats | Sequence[float],
    duration: float,
    *,
    strategy: Strategy = "auto",
    nearest: Sequence[Clip] = (),
    scenes: Sequence[Span] = (),
    settings: Allocation = DEFAULT,
) -> list[float]:
    """Choose the times of exactly min(k, n) distinct frames of a video of n frames.

    Args:
        clips: the key clips, best first; may be none, overlap, touch, be shorter than a frame or cover everything.
            Overlapping clips of one priority count as one; where P1 and P2 overlap, it is P1. What lies outside the
            video is ignored. Clips of one priority that follow each other with one score are worth the same, and so
            are those without a score if they come in time order. Where k is too small for all equals, those that get
            a frame are spread over time.
        k: frames wanted, >= 1.
        timestamps: when each frame of the video comes on screen: (n,), seconds, ascending, distinct, n >= 1.
        duration: length of the video, seconds, > ``timestamps[-1]``.
        strategy: "focused" (inside the clips), "hybrid" (dense inside, sparse outside), "uniform" (clips ignored)
            or "auto" (see :func:`resolve`).
        nearest: all that may matter, best first, as clips with chances as scores. They take the clips' place when
            there are none, and where "auto" hedges.
        scenes: spans that take their place when there are neither: every scene gets a frame when k allows.
        settings: weights, shares and the rule of "auto".

    Returns:
        min(k, n) of ``timestamps``, ascending, no two alike. In focused mode no P2 clip gets a frame before every
        P1 clip has one, and frames outside the clips come only when the clips hold fewer than k frames.

    Raises:
        ValueError: k < 1, no timestamps, or an unknown strategy.
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}")
    if times.ndim != 1 or not len(times):
        raise ValueError(f"timestamps must be a non-empty list of seconds; got shape {times.shape}")
    k = min(k, len(times))
    clips = clips if clips else nearest
    used = resolve(strategy, clips, k, duration, settings)
    if strategy == "auto" and is_unsure(clips, settings):
        return _hedge(nearest if nearest else clips, k, times, duration, settings)
    areas = _Areas.from_clips(clips if used != "uniform" else (), times, duration, settings)
    if not len(areas) and strategy != "uniform" and k >= len(scenes):
        start, end = np.array(scenes, dtype=np.float64).reshape(-1, 2).T
        areas = _Areas.from_spans(start, end, np.zeros(len(scenes), np.int64), 1.0, times)
    inside = max(1, round(settings.dense_share * k)) if used == "hybrid" else k
    counts = _share_ranked(min(inside, areas.capacity), areas)
    rest = areas.outside(times, duration)
    missing = k - int(counts.sum())
    outside = _share_even(min(missing, rest.capacity), rest)
    if missing > rest.capacity:  # hybrid, but hardly any frame lies outside the clips
        counts = _share_ranked(k - rest.capacity, areas)
    chosen = np.concatenate([_place(areas, counts, times), _place(rest, outside, times)])
    chosen.sort()
    return [float(times[i]) for i in chosen]


def resolve(
    strategy: Strategy, clips: Sequence[Clip], k: int, duration: float, settings: Allocation = DEFAULT
) -> Strategy:
    """Return the strategy that is really used: "auto" becomes "focused" or "hybrid", no clips become "uniform".

    "auto" is focused up to ``settings.focused_up_to`` frames and hybrid above; it is hybrid for every k when the
    clips cover more than ``settings.spread_over`` of the video. Where it hedges (:func:`is_unsure`), frames lie
    inside and outside by expected coverage, which is "hybrid" too.

    Raises:
        ValueError: the strategy is unknown.
    """
    check_strategy(strategy)
    if not clips:
        return "uniform"
    if strategy != "auto":
        return strategy
    if is_unsure(clips, settings):
        return "hybrid"
    spread = covered(clips, duration) > settings.spread_over * duration
    return "focused" if k <= settings.focused_up_to and not spread else "hybrid"


def is_unsure(clips: Sequence[Clip], settings: Allocation = DEFAULT) -> bool:
    """Whether "auto" hedges: every clip has a score, and none reaches ``settings.unsure_below``."""
    return bool(clips) and all(clip.score is not None and clip.score < settings.unsure_below for clip in clips)


def check_strategy(strategy: str) -> Strategy:
    """Return the strategy; ValueError where there is no such one."""
    for known in STRATEGIES:
        if strategy == known:
            return known
    raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; got {quoted(strategy)}")


def covered(clips: Sequence[Clip], duration: float) -> float:
    """Return the seconds of the video that lie inside at least one clip, 0..duration."""
    start, end = _spans(clips, duration)
    order = np.argsort(start)
    start, end = start[order], np.maximum.accumulate(end[order])
    before = np.concatenate([[0.0], end])[:-1]
    return float(np.sum(np.maximum(end - np.maximum(start, before), 0.0)))


def _spans(clips: Sequence[Clip], duration: float) -> tuple[Floats, Floats]:
    """Starts and ends of the clips, cut at the end of the video."""
    ends = np.minimum(np.array([clip.end for clip in clips], dtype=np.float64), duration)
    return np.minimum(np.array([clip.start for clip in clips], dtype=np.float64), ends), ends


def _rank(clips: Sequence[Clip]) -> Ints:
    """Place in line of every clip, 0 first; clips of equal worth share one (see :func:`allocate`)."""
    ranks = np.arange(len(clips))
    for priority in ("P1", "P2"):
        same = [(place, clip) for place, clip in enumerate(clips) if clip.priority == priority]
        for score, run in groupby(same, key=lambda pair: pair[1].score):
            places, equals = zip(*run, strict=True)
            if score is not None or all(one.start <= other.start for one, other in pairwise(equals)):
                ranks[list(places)] = places[0]
    return ranks


@dataclass(frozen=True)
class _Areas:
    """Disjoint spans in time order, each with the frames it may give and its place in line when k is scarce."""

    start: Floats
    end: Floats
    first: Ints  # frames first..last-1 lie in the span
    last: Ints
    weight: Floats  # of the whole span
    rank: Ints  # who is served first, alike for equals; -1 for those who wait until all others have one (P2)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def frames(self) -> Ints:
        return self.last - self.first

    @property
    def middles(self) -> Floats:
        return (self.start + self.end) / 2

    @property
    def spans(self) -> list[Span]:
        return list(zip(self.start.tolist(), self.end.tolist(), strict=True))

    @property
    def capacity(self) -> int:
        return int(self.frames.sum())

    @staticmethod
    def from_spans(start: Floats, end: Floats, ranks: Ints, weight: float, times: Floats) -> _Areas:
        """Spans as areas: those that share a frame are united; one shorter than a frame has the frame on screen."""
        first, last = np.searchsorted(times, start), np.searchsorted(times, end)
        first = np.where(first == last, np.maximum(first - 1, 0), first)
        last = np.maximum(last, first + 1)
        order = np.argsort(first, kind="stable")
        start, end, first, last, ranks = start[order], end[order], first[order], last[order], ranks[order]
        far = np.maximum.accumulate(last)
        heads = np.flatnonzero(np.concatenate([[True], first[1:] >= far[:-1]])) if len(first) else first
        if not len(heads):
            return _Areas(start, end, first, last, start, ranks)
        start, end = np.minimum.reduceat(start, heads), np.maximum.reduceat(end, heads)
        first, last = np.minimum.reduceat(first, heads), np.maximum.reduceat(last, heads)
        lengths = np.maximum(end - start, TINY)
        return _Areas(start, end, first, last, lengths * weight, np.minimum.reduceat(ranks, heads))

    @staticmethod
    def from_clips(clips: Sequence[Clip], times: Floats, duration: float, settings: Allocation) -> _Areas:
        """P1 clips united, then P2 clips united and the frames that P1 has cut out of them."""
        clips = [clip for clip in clips if clip.start < duration]
        start, end = _spans(clips, duration)
        rank, top = _rank(clips), np.array([clip.priority == "P1" for clip in clips], dtype=bool)
        p1 = _Areas.from_spans(start[top], end[top], rank[top], settings.p1_weight, times)
        p2 = _Areas.from_spans(start[~top], end[~top], rank[~top], settings.p2_weight, times)
        if not len(p1) or not len(p2):
            return p1 if len(p1) else p2
        return p1.joined(p2.within(p1.outside(times, duration)))

    def within(self, other: _Areas) -> _Areas:
        """The parts of these areas that lie in ``other`` too; both are disjoint and in time order."""
        begin = np.searchsorted(other.last, self.first, side="right")
        many = np.maximum(np.searchsorted(other.first, self.last, side="left") - begin, 0)
        mine = np.repeat(np.arange(len(self)), many)
        its = np.arange(len(mine)) - np.repeat(np.cumsum(many) - many, many) + begin[mine]
        first, last = np.maximum(self.first[mine], other.first[its]), np.minimum(self.last[mine], other.last[its])
        start, end = np.maximum(self.start[mine], other.start[its]), np.minimum(self.end[mine], other.end[its])
        density = self.weight[mine] / np.maximum(self.end[mine] - self.start[mine], TINY)
        return _Areas(start, end, first, last, np.maximum(end - start, TINY) * density, self.rank[mine])

    def joined(self, waiting: _Areas) -> _Areas:
        """Both together in time order; ``waiting`` loses its ranks: it is served after all of ``self`` have one."""
        ranks = np.concatenate([self.rank, np.full(len(waiting), -1)])
        order = np.argsort(np.concatenate([self.first, waiting.first]))
        pairs = zip(self.columns[:-1], waiting.columns[:-1], strict=True)
        return _Areas(*(column[order] for column in (*map(np.concatenate, pairs), ranks)))

    def cut(self, length: float, times: Floats) -> _Areas:
        """These areas in equal parts, each at most ``length`` seconds long or one frame."""
        parts = np.minimum(np.ceil((self.end - self.start) / max(length, TINY)), self.frames).astype(np.int64)
        lines = zip(self.start, self.end, np.maximum(parts, 1), strict=True)
        edges = [np.linspace(start, end, many + 1) for start, end, many in lines]
        start, end = (
            np.concatenate([np.zeros(0), *(line[part] for line in edges)]) for part in (slice(-1), slice(1, None))
        )
        return _Areas.from_spans(start, end, np.zeros(len(start), np.int64), 1.0, times).within(self)

    @property
    def columns(self) -> tuple[NDArray[Any], ...]:
        return (self.start, self.end, self.first, self.last, self.weight, self.rank)

    def outside(self, times: Floats, duration: float) -> _Areas:
        """The gaps before, between and after these areas, as areas of equal rank."""
        first, last = np.concatenate([[0], self.last]), np.concatenate([self.first, [len(times)]])
        start, end = np.concatenate([[0.0], self.end]), np.concatenate([self.start, [duration]])
        gaps = _Areas(start, end, first, last, np.maximum(end - start, TINY), np.zeros(len(first), np.int64))
        return _Areas(*(column[first < last] for column in gaps.columns))


def _share_ranked(k: int, areas: _Areas) -> Ints:
    """Share k frames: one for each area that has a rank, best first, the rest by weight."""
    counts = np.zeros(len(areas), dtype=np.int64)
    ranked = np.flatnonzero(areas.rank >= 0)
    counts[ranked[choose_best(-areas.rank[ranked].astype(float), areas.middles[ranked], min(k, len(ranked)))]] = 1
    missing = k - int(counts.sum())
    if not missing:
        return counts
    ideal = k * areas.weight / areas.weight.sum()
    return counts + share_by_remainder(
        missing, np.maximum(ideal - counts, 0.0), areas.weight, areas.frames - counts, areas.middles
    )


def _share_even(k: int, areas: _Areas) -> Ints:
    """Share k frames as if the areas were one stretch of time, sampled at the middle of k equal parts."""
    if not k:
        return np.zeros(len(areas), dtype=np.int64)
    ends = np.cumsum(areas.weight)
    middles = (np.arange(k) + 0.5) * (ends[-1] / k)
    hits = np.minimum(np.searchsorted(ends, middles, side="right"), len(areas) - 1)
    counts = np.minimum(np.bincount(hits, minlength=len(areas)), areas.frames)
    missing = k - int(counts.sum())
    return counts + share_by_remainder(missing, areas.weight, areas.weight, areas.frames - counts, areas.middles)


def _hedge(clips: Sequence[Clip], k: int, times: Floats, duration: float, settings: Allocation) -> list[float]:
    """k times by expected coverage: clips count by their scores, what lies between them by a small chance."""
    areas = _Areas.from_clips(clips, times, duration, settings)
    length = float((areas.end - areas.start).mean()) if len(areas) else duration / k
    rest = areas.outside(times, duration).cut(length, times)
    start, end = _spans(clips, duration)
    scores = np.array([0.0 if clip.score is None else clip.score for clip in clips], dtype=np.float64)
    chances = [scores[(start < area_end) & (end > area_start)].max(initial=0.0) for area_start, area_end in areas.spans]
    both = areas.joined(rest)
    weights = np.concatenate([chances, np.full(len(rest), settings.outside_chance)])
    weights = weights[np.argsort(np.concatenate([areas.first, rest.first]))]
    lengths = np.maximum(both.end - both.start, TINY)
    counts = spread_by_coverage(weights, both.frames, k, lengths=lengths, decay=settings.decay)
    return [float(times[i]) for i in np.sort(_place(both, counts, times))]


def _place(areas: _Areas, counts: Ints, times: Floats) -> Ints:
    """Frame indices: in each area as many as ``counts`` says, at the middle of as many equal parts of its span."""
    many = np.flatnonzero(counts)
    owner = np.repeat(many, counts[many])
    if not len(owner):
        return owner
    starts = np.cumsum(counts[many]) - counts[many]
    place = np.arange(len(owner)) - np.repeat(starts, counts[many])
    size = counts[owner]
    target = areas.start[owner] + (place + 0.5) / size * (areas.end - areas.start)[owner]
    index = np.searchsorted(times, target, side="right") - 1  # the frame on screen then
    # distinct and inside: never before the area, never at or before its predecessor, room left for its successors
    index = np.maximum(index, areas.first[owner] + place)
    index = np.maximum.accumulate(index - np.arange(len(owner))) + np.arange(len(owner))
    latest: Ints = areas.last[owner] - size + place
    return np.minimum(index, latest)
