"""The whole video is one clip, whatever the query: uniform sampling, the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Sequence

from kframes_plugin.types import Candidates, Clip, Frame, Prediction


class UniformSelector:
    """One P1 clip over the whole video. It looks at no picture, so it asks for a single candidate.

    Attributes:
        candidates: 1.
    """

    name = "uniform"
    candidates = 1

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clip [0, duration); the query is not read.

        Args:
            frames: candidate frames in time order, at least one.
            query: anything.
        """
        duration = frames.duration if isinstance(frames, Candidates) else frames[-1].end
        return Prediction([Clip(0.0, duration, "P1", "uniform: the whole video")])
