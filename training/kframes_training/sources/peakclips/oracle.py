"""The annotator that knows: truth about SynthScenes videos, and how far labels are from it.

Its answers come from the seed in the video's id (``synthscenes-7``), not from the frames. A scene that was detected is
taken for the true scene it overlaps most.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from random import Random

from pydantic import BaseModel

from kframes_plugin.types import Frame, Span
from kframes_training.rows import P2_SCORE
from kframes_training.sources.peakclips.annotator import ItemError
from kframes_training.sources.peakclips.answers import (
    Caption,
    Queries,
    QueryItem,
    QuestionItem,
    Questions,
    Score,
    Scores,
)
from kframes_training.sources.peakclips.prompts import KINDS, Prompt
from kframes_training.sources.synthscenes.language import (
    Query,
    caption_chapter,
    caption_scene,
    caption_video,
    make_query,
    questions,
)
from kframes_training.sources.synthscenes.world import SPLITS, Scene, Video, sample_video

LEVELS = (1.0, 2.0, 3.0, 4.0, 4.5, 5.0)  # what an error says instead
_ID = re.compile(r"synthscenes-(\d+)")


class SynthOracle:
    """Knows captions, queries, scores and questions of SynthScenes videos.

    Args:
        noise: share of the scores, 0 to 1, that are replaced by another of LEVELS.
        seed: of the errors.

    Raises:
        ValueError: noise outside 0..1.
    """

    def __init__(self, noise: float = 0.0, seed: int = 0) -> None:
        if not 0 <= noise <= 1:
            raise ValueError(f"noise must lie in 0..1; got {noise}")
        self.noise, self.seed = noise, seed
        self.id = f"oracle noise={noise} seed={seed}" if noise else "oracle"

    async def describe(self, frames: Sequence[Frame], prompt: Prompt) -> BaseModel:
        """The true caption of a scene."""
        return self._answer(prompt)

    async def judge(self, prompt: Prompt) -> BaseModel:
        """Captions, queries, scores (with errors, where there is noise), questions."""
        return self._answer(prompt)

    def _answer(self, prompt: Prompt) -> BaseModel:
        video = known_video(str(prompt.facts["video_id"]))
        if video is None:
            raise ItemError(f"the oracle knows only synthscenes-<seed>; got {prompt.facts['video_id']}")
        truth = [true_scene(video, span) for span in prompt.facts["spans"]]
        rng = Random(f"oracle {video.id} {prompt.facts['spans']}")
        if prompt.task == "scene":
            return Caption(caption=caption_scene(truth[0], rng))
        if prompt.task == "chapter":
            return Caption(caption=caption_chapter(truth, rng))
        if prompt.task == "video":
            return Caption(caption=caption_video(video.chapters, rng))
        if prompt.task == "queries":
            return _queries(video, prompt.facts["kinds"])
        if prompt.task == "questions":
            return _questions(video, prompt.facts["spans"], prompt.facts["count"])
        return self._scores(video, prompt)

    def _scores(self, video: Video, prompt: Prompt) -> Scores:
        asked = prompt.facts["query"]
        query = known_queries(video).get(asked)
        if query is None:
            raise ItemError(f"the oracle does not know the query {asked!r} of {video.id}")
        found = []
        for number in prompt.facts["scenes"]:
            scene = video.scenes.index(true_scene(video, prompt.facts["spans"][number - 1]))
            score, reason = query.scores[scene], query.reasons[scene]
            rng = Random(f"noise {self.seed} {video.id} {asked} {number}")
            if rng.random() < self.noise:
                score = rng.choice([level for level in LEVELS if level != score])
                reason = reason if score >= P2_SCORE else ""
            found.append(Score(scene=number, score=score, reason=reason))
        return Scores(scores=found)


def known_video(video_id: str) -> Video | None:
    """The SynthScenes video of an id, or None."""
    match = _ID.fullmatch(video_id)
    return _video(int(match[1])) if match else None


@lru_cache(maxsize=256)
def _video(seed: int) -> Video:
    return sample_video(seed)


@lru_cache(maxsize=256)
def _known(seed: int) -> dict[str, Query]:
    video = _video(seed)
    split = next((name for name, seeds in SPLITS.items() if seed in seeds), "train")
    made = {kind: make_query(kind, video.scenes, Random(f"peakclips {video.id} {kind}"), split) for kind in KINDS}
    return {query.text: query for query in made.values() if query is not None}


def known_queries(video: Video) -> dict[str, Query]:
    """The queries that the oracle can write about a video, one a kind where it offers one, by their texts."""
    return _known(video.seed)


def true_scene(video: Video, span: Span) -> Scene:
    """The true scene that a span overlaps most; of equals the first."""
    return max(video.scenes, key=lambda scene: min(scene.end, span[1]) - max(scene.start, span[0]))


def _queries(video: Video, kinds: Sequence[str]) -> Queries:
    """One query a kind; where the video offers none of a kind, the next kind's that is left stands for it."""
    offered = {query.kind: query for query in known_queries(video).values()}
    left = [kind for kind in offered if kind not in kinds]
    chosen = [offered[kind] if kind in offered else offered[left.pop(0)] for kind in kinds if kind in offered or left]
    return Queries(queries=[QueryItem(kind=query.kind, query=query.text) for query in chosen])


def _questions(video: Video, spans: Sequence[Span], count: int) -> Questions:
    found = []
    for question in questions(video.scenes, Random(f"peakclips questions {video.id}"))[:count]:
        evidence = [video.scenes[index] for index in question.evidence]
        scenes = [number for number, span in enumerate(spans, 1) if true_scene(video, span) in evidence]
        if scenes:
            options = list(question.options)
            found.append(
                QuestionItem(
                    question=question.text, kind=question.kind, options=options, answer=question.answer, scenes=scenes
                )
            )
    return Questions(questions=found)
