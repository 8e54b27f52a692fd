"""Every scene of the video is a clip, whatever the query: no model, no download, and still every scene is served."""

from __future__ import annotations

from collections.abc import Sequence

from kframes_plugin.clips.scenes import DEFAULT_RULE, CutRule, detect_scenes
from kframes_plugin.types import Candidates, Clip, Frame, Prediction


class SceneSelector:
    """One P1 clip a scene, in time order; scenes are cut between the candidate frames.

    Args:
        min_scene: shortest scene, seconds, >= 0; shorter ones join a neighbour.
        rule: what a cut is.
        candidates: T, candidate frames it wants to see.

    Attributes:
        frame_size: long side of the candidates, pixels.
        snap_to_cuts: True: it sees only that a cut lies between two candidates.
    """

    name = "scenes"
    frame_size = 64
    snap_to_cuts = True

    def __init__(self, *, min_scene: float = 2.0, rule: CutRule = DEFAULT_RULE, candidates: int = 256) -> None:
        self.min_scene = min_scene
        self.rule = rule
        self.candidates = candidates

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips, which part the video without a gap; the query is not read.

        Args:
            frames: candidate frames in time order, at least one.
            query: anything.
        """
        video = frames if isinstance(frames, Candidates) else Candidates(frames, frames[-1].end)
        scenes = detect_scenes(video, video.duration, min_scene=self.min_scene, rule=self.rule)
        return Prediction(
            Clip(start, end, "P1", f"scene {number} of {len(scenes)}") for number, (start, end) in enumerate(scenes, 1)
        )
