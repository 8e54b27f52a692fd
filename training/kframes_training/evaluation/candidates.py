"""One opened video and its candidate frames, decoded once for all selectors that want the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.types import Candidates, Cost, Span
from kframes_plugin.video import OpenVideo

Size = int | tuple[int, int]


@dataclass(frozen=True)
class CandidatePool:
    """Candidate frames, the scenes between them, and what decoding them cost."""

    frames: Candidates
    scenes: list[Span]
    cost: Cost

    @property
    def times(self) -> NDArray[np.float64]:
        """(T,) seconds, rising."""
        return np.array([frame.timestamp for frame in self.frames], np.float64)


@dataclass
class MeasuredVideo:
    """An opened video.

    Attributes:
        video: the opened file.
        pools: by (number, size); every pool is decoded once.
    """

    video: OpenVideo
    pools: dict[tuple[int, Size], CandidatePool] = field(default_factory=dict)

    def pool(self, count: int, size: Size) -> CandidatePool:
        """``count`` candidates of a size (long side or (width, height), pixels), exactly as ``KFrames`` has them."""
        if (count, size) not in self.pools:
            start, before = perf_counter(), self.video.frames_decoded
            frames = self.video.candidates(count, size=size)
            scenes = detect_scenes(frames, self.video.duration)
            cost = Cost(self.video.frames_decoded - before, len(frames), seconds={"candidates": perf_counter() - start})
            self.pools[count, size] = CandidatePool(frames, scenes, cost)
        return self.pools[count, size]
