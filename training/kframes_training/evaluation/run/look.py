"""One opened video: candidates and scenes, made once for all selectors that want the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

from kframes_plugin.clips.scenes import detect_scenes
from kframes_plugin.types import Candidates, Cost, Span
from kframes_plugin.video import OpenVideo

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Pool:
    """Candidate frames, the scenes between them, and what decoding them cost."""

    frames: Candidates
    scenes: list[Span]
    cost: Cost


@dataclass
class Look:
    """An opened video.

    Attributes:
        video: the opened file.
        pools: by (number, size); every pool is decoded once.
    """

    video: OpenVideo
    pools: dict[tuple[int, Size], Pool] = field(default_factory=dict)

    def pool(self, count: int, size: Size) -> Pool:
        """``count`` candidates of a size, exactly as :class:`KFrames` has them."""
        if (count, size) not in self.pools:
            start, before = perf_counter(), self.video.frames_decoded
            frames = self.video.candidates(count, size=size)
            scenes = detect_scenes(frames, self.video.duration)
            decoded = self.video.frames_decoded - before
            cost = Cost(decoded, len(frames), seconds={"candidates": perf_counter() - start})
            self.pools[count, size] = Pool(frames, scenes, cost)
        return self.pools[count, size]
