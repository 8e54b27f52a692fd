"""Moves the ends of clips to cuts. A selector sees only candidates and cannot know where between two a scene begins.

Where the two candidates on either side of a clip's end differ, a binary search finds the cut between them: a frame from
between belongs to the side that it resembles more. All ends of all clips are searched together, each round in one pass
of the decoder: first by I-frames, which cost one decoded picture each, then by frames of the one group of pictures that
is left.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.scenes import (
    DEFAULT_RULE,
    NEAR,
    FrameHistograms,
    candidate_histograms,
    frame_difference,
    frame_histograms,
)
from kframes_plugin.types import Candidates, Clip

if TYPE_CHECKING:
    from kframes_plugin.video import OpenVideo
    from kframes_plugin.video.open_video import Size

CLOSE = 0.25  # seconds between the two frames at a cut, at most (or neighbours, in slower videos)
AROUND = 0.5  # seconds before and after a cut in which motion is measured
I_FRAMES = 3  # I-frames of a gap that are decoded in one round
PLACED = 0.14  # jump to an I-frame from which on the encoder is believed to have put it at a cut
LONG_GROUP = 2.0  # seconds; shorter groups of pictures are decoded: encoders put no two I-frames close to each other
RARE = 0.05  # an encoder that puts I-frames at equal distances repeats a distance in more than this share of them
BUDGET = 1000  # frames decoded for one query; ends whose cut is not found by then stay as they were
ALIKE = 0.5  # of the jump between the two sides: a frame further than this from the clip's side is not in the clip
CACHE = "snapping"  # key in Candidates.cache
_End = tuple[int, bool]  # (number of the gap, whether the clip starts there)


@dataclass(slots=True)
class _Gap:
    """Between two candidates, one of which lies in a clip.

    ``low``, ``high``: timestamps of the last frame known to be before the cut, and of the first known to be after it.
    ``starts``: the clip starts here, so ``high`` lies in it; else it ends here, and ``low`` does.
    """

    low: float
    high: float
    starts: bool

    @property
    def width(self) -> float:
        return self.high - self.low


def snap_to_cuts(
    clips: Sequence[Clip],
    candidates: Candidates,
    video: OpenVideo,
    *,
    size: Size = None,
    budget: int = BUDGET,
    only_i_frames: bool = False,
) -> list[Clip]:
    """Move the ends of the clips to the cuts next to them.

    An end moves only between the last candidate on its one side and the first on its other, and only if there is a
    cut: two frames at most 0.25 s apart (or neighbours, or an I-frame that the encoder put there and the one before)
    whose difference exceeds what moves around them, by the rule of :class:`~kframes_plugin.clips.scenes.CutRule`.
    Otherwise it stays, as it does where only the camera moves.

    Args:
        clips: as a selector named them.
        candidates: the frames that it saw.
        video: where they come from.
        size: of the candidates, as for :meth:`~kframes_plugin.video.OpenVideo.candidates`.
        budget: frames that may be decoded, >= 0; it is checked after each round.
        only_i_frames: look at no other frames, some two a clip: finds the cuts at which encoders put I-frames.

    Returns:
        The clips in their order, with the same priorities, reasons and scores.

    Raises:
        VideoError: decoding fails.
    """
    times = [frame.timestamp for frame in candidates]
    ends = {end for clip in clips for end in _ends(clip, times) if 0 < end[0] < len(times)}
    histograms = _Histograms(candidates, video, size, only_i_frames)
    for place, _ in ends:
        histograms.add_candidate(place - 1)
        histograms.add_candidate(place)
    gaps = {(place, starts): _Gap(times[place - 1], times[place], starts) for place, starts in sorted(ends)}
    gaps = {end: gap for end, gap in gaps.items() if histograms.jump(gap.low, gap.high) > DEFAULT_RULE.threshold}
    begin, still = video.frames_decoded, _find_wide(gaps, histograms)
    while still and video.frames_decoded - begin < budget:
        _narrow(gaps, still, histograms)
        still = _find_wide(gaps, histograms)
    cuts = {end: gap.high for end, gap in gaps.items() if end not in still and _is_cut(gap, histograms)}
    if only_i_frames:  # what is left of a gap may hold the cut anywhere
        cuts = {end: cut for end, cut in cuts.items() if _is_narrow(gaps[end], histograms)}
    return [_move(clip, times, cuts) for clip in clips]


def _ends(clip: Clip, times: Sequence[float]) -> tuple[_End, _End]:
    """The gaps of a clip's start and end: gap i lies between candidates i - 1 and i."""
    return (bisect_left(times, clip.start - NEAR), True), (bisect_left(times, clip.end - NEAR), False)


def _find_wide(gaps: Mapping[_End, _Gap], histograms: _Histograms) -> dict[_End, NDArray[np.float64]]:
    """The gaps that can be narrowed further, with the timestamps to decode next."""
    return {end: inside for end, gap in gaps.items() if len(inside := _probes(gap, histograms))}


def _narrow(gaps: Mapping[_End, _Gap], probes: Mapping[_End, NDArray[np.float64]], histograms: _Histograms) -> None:
    """Narrow every gap by its frames, which are decoded together: one round."""
    histograms.decode(np.concatenate(list(probes.values())).tolist())
    for end, inside in probes.items():
        gap = gaps[end]
        while len(inside):
            middle = float(inside[len(inside) // 2])
            if _is_before(gap, middle, histograms):
                gap.low = middle
            else:
                gap.high = middle
            inside = inside[(inside > gap.low) & (inside < gap.high)]


def _is_before(gap: _Gap, middle: float, histograms: _Histograms) -> bool:
    """On which side of the cut a frame is. One that is like neither is not in the clip: there are several cuts."""
    before, after = histograms.jump(gap.low, middle), histograms.jump(middle, gap.high)
    within = max(DEFAULT_RULE.sparse_threshold, ALIKE * histograms.jump(gap.low, gap.high))
    return after >= before or after > within if gap.starts else before < after and before <= within


def _probes(gap: _Gap, histograms: _Histograms) -> NDArray[np.float64]:
    """Timestamps inside the gap to decode next; none once it is as narrow as a cut.

    Its I-frames first. When these are used up, and the last of them was not put at a cut, frames all over it at a cut's
    width: to decode the last of them is to decode the others too.
    """
    video = histograms.video
    if _is_narrow(gap, histograms):
        return np.empty(0)
    pools = ((video.i_frames, I_FRAMES), (video.timestamps, math.ceil(2 * gap.width / CLOSE)))
    for pool, most in pools[:1] if histograms.only_i_frames else pools:
        inside = pool[np.searchsorted(pool, gap.low, "right") : np.searchsorted(pool, gap.high, "left")]
        if len(inside):
            spread = np.linspace(0, len(inside) - 1, min(most, len(inside))).round().astype(np.intp)
            probes: NDArray[np.float64] = inside[spread]
            return probes
    return np.empty(0)


def _is_narrow(gap: _Gap, histograms: _Histograms) -> bool:
    """Whether the gap is no wider than a cut, or ends at an I-frame that tells of one."""
    return gap.width <= CLOSE + NEAR or _is_placed(gap, histograms)


def _is_placed(gap: _Gap, histograms: _Histograms) -> bool:
    """Whether the gap ends at an I-frame that the encoder put there for what it shows, and holds no other.

    That is one whose distance from the one before is neither short, nor the largest (then it was due), nor common.
    """
    i_frames = histograms.video.i_frames
    place = int(np.searchsorted(i_frames, gap.high))
    if not 0 < place < len(i_frames) or i_frames[place] != gap.high or i_frames[place - 1] > gap.low:
        return False
    distances = np.diff(i_frames)
    distance = distances[place - 1]
    if not LONG_GROUP <= distance < 0.9 * distances.max() or histograms.jump(gap.low, gap.high) <= PLACED:
        return False
    alike = np.abs(distances - distance) < 0.1 * distance
    return bool(alike.sum() - 1 <= RARE * len(distances))


class _Histograms:
    """Histograms of the frames that the search for these clips' cuts has come to, by timestamp.

    Those of earlier queries are kept with the candidates so that nothing is decoded twice. They take no part in the
    search before it comes to them: the cuts must not depend on what was asked before.
    """

    def __init__(self, candidates: Candidates, video: OpenVideo, size: Size, only_i_frames: bool) -> None:
        self.kept: dict[float, FrameHistograms] = candidates.cache.setdefault(CACHE, {})
        self.candidates, self.video, self.size, self.only_i_frames = candidates, video, size, only_i_frames
        self.reached: dict[float, FrameHistograms] = {}

    def add_candidate(self, place: int) -> None:
        self.reached[self.candidates[place].timestamp] = candidate_histograms(self.candidates)[place]

    def decode(self, times: Iterable[float]) -> None:
        wanted = sorted(set(times))
        new = [time for time in wanted if time not in self.kept]
        for time, frame in zip(new, self.video.frames_at(new, size=self.size, keep=False), strict=True):
            self.kept[time] = frame_histograms(frame.image)
        self.reached |= {time: self.kept[time] for time in wanted}

    def jump(self, one: float, other: float) -> float:
        return frame_difference(self.reached[one], self.reached[other])


def _is_cut(gap: _Gap, histograms: _Histograms) -> bool:
    """Whether the jump exceeds what moves between the frames seen just before it and just after it."""
    motion = [histograms.jump(time, gap.low) for time in histograms.reached if NEAR < gap.low - time <= AROUND]
    motion += [histograms.jump(gap.high, time) for time in histograms.reached if NEAR < time - gap.high <= AROUND]
    limit = DEFAULT_RULE.threshold + DEFAULT_RULE.ratio * (sum(motion) / len(motion) if motion else 0.0)
    if gap.width > CLOSE + NEAR:  # all that lies between may have moved
        limit = max(limit, DEFAULT_RULE.sparse_threshold)
    return histograms.jump(gap.low, gap.high) > limit


def _move(clip: Clip, times: Sequence[float], cuts: dict[_End, float]) -> Clip:
    first, last = _ends(clip, times)
    start, end = cuts.get(first, clip.start), cuts.get(last, clip.end)
    return replace(clip, start=start, end=end) if start < end else clip
