"""Every parameter of the pipeline that decides its rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from kframes_training.sources.peakclips.chapters import THRESHOLDS
from kframes_training.sources.peakclips.prompts import KINDS
from kframes_training.sources.peakclips.refinement import Refinement

LEAST = {
    "min_scene": 0,
    "frames_per_scene": 1,
    "frame_size": 1,
    "queries_per_video": 0,
    "questions_per_video": 0,
    "scenes_a_call": 1,
}


@dataclass(frozen=True)
class Settings:
    """How videos are annotated.

    Attributes:
        min_scene: shortest scene, seconds, >= 0.
        max_scene: longest scene, seconds; one without a cut that is longer is parted evenly (lectures, one camera).
        frames_per_scene: frames that a scene is described from, >= 1.
        frame_size: their long side, pixels.
        grouping: of scenes into chapters: a key of ``chapters.THRESHOLDS``.
        chapter_threshold: likeness under which chapters part, 0 to 1; None: the grouping's own.
        queries_per_video: queries that are written, on average, >= 0: 2.5 is two or three, each for half of the videos.
        questions_per_video: multiple-choice questions that are written, >= 0.
        scenes_a_call: at most so many scenes are scored by one answer, >= 1.
        refinement: weights, thresholds.

    Raises:
        ValueError: a value outside its range.
    """

    min_scene: float = 2.0
    max_scene: float = 60.0
    frames_per_scene: int = 3
    frame_size: int = 448
    grouping: str = "linkage:both"
    chapter_threshold: float | None = None
    queries_per_video: float = 2.5
    questions_per_video: int = 3
    scenes_a_call: int = 40
    refinement: Refinement = field(default_factory=Refinement)

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}")
        if self.grouping not in THRESHOLDS:
            raise ValueError(f"grouping must be one of {', '.join(THRESHOLDS)}; got {self.grouping!r}")
        if self.max_scene <= 2 * self.min_scene:
            raise ValueError(f"max_scene must be over twice min_scene ({self.min_scene:g}); got {self.max_scene:g}")
        if self.queries_per_video > len(KINDS):
            raise ValueError(f"queries_per_video must be at most {len(KINDS)}; got {self.queries_per_video}")


def choose_kinds(video_id: str, queries_per_video: float) -> list[str]:
    """The kinds of queries to write about a video: all kinds come equally often over many videos.

    A function of the id alone, so that it does not matter which machine annotates what, and when.
    """
    rng = Random(f"kinds {video_id}")
    count = int(queries_per_video) + (rng.random() < queries_per_video % 1)
    return rng.sample(list(KINDS), count)
