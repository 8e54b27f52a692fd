"""What selectors are asked about a held-out video, and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from kframes_plugin.types import Clip
from kframes_training.sources.synthscenes import Query, Question, Video, clips_of, queries, questions, sample_video
from kframes_training.sources.synthscenes.language import UNKNOWN


@dataclass(frozen=True)
class Exam:
    """The queries and questions of a video.

    Attributes:
        video: the video.
        queries: one of every kind that it offers.
        questions: multiple choice; may be none.
    """

    video: Video
    queries: list[Query]
    questions: list[Question]

    @property
    def texts(self) -> list[str]:
        """What a selector reads: first the queries, then the questions."""
        return [query.text for query in self.queries] + [question.text for question in self.questions]

    @property
    def truth(self) -> list[list[Clip]]:
        """The true clips of every text; of a question the scenes that hold its answer."""
        scenes = self.video.scenes
        evidence = [[Clip(scenes[i].start, scenes[i].end) for i in question.evidence] for question in self.questions]
        return [*(clips_of(scenes, query) for query in self.queries), *evidence]


def exam_of(seed: int, split: str, *, with_questions: bool = True) -> Exam:
    """The exam of a seed, always the same.

    Args:
        seed: of the video.
        split: "dev" or "test": absent queries may name words never trained on.
        with_questions: whether an answerer is there.
    """
    video = sample_video(seed)
    asked = questions(video.scenes, Random(f"questions {seed}")) if with_questions else []
    return Exam(video, queries(video.scenes, Random(f"queries {seed}"), split), asked)


def kind_of(query: Query) -> str:
    """The kind of a query; absent ones by why: known words that do not come together, or words never trained on."""
    if query.kind != "absent":
        return query.kind
    unknown = set(UNKNOWN) & set(query.text.replace("?", "").split())
    return "absent: unknown words" if unknown else "absent: known words"
