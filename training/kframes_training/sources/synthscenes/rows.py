"""SynthScenes as PeakClips rows (``kframes_training/rows.py`` says what they hold)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from kframes_plugin.types import Clip
from kframes_training import rows
from kframes_training.rows import P1_SCORE, P2_SCORE
from kframes_training.sources.synthscenes.language import Query, Question, caption_chapter, caption_scene, caption_video
from kframes_training.sources.synthscenes.world import Scene, Video


def make_clips(
    scenes: Sequence[Scene], query: Query, *, p1_score: float = P1_SCORE, p2_score: float = P2_SCORE
) -> list[Clip]:
    """The clips of a query, as :func:`kframes_training.rows.merge_scenes` makes them."""
    spans = [(scene.start, scene.end) for scene in scenes]
    return rows.merge_scenes(spans, query.scores, query.reasons, p1_score=p1_score, p2_score=p2_score)


def video_row(video: Video, rng: Random | None = None) -> dict[str, Any]:
    """The captions of a video on three levels; ``rng`` chooses the wording (default: from the seed)."""
    rng = Random(f"captions {video.seed}") if rng is None else rng
    caption = caption_video(video.chapters, rng)
    chapters = [
        rows.caption_row(chapter[0].start, chapter[-1].end, caption_chapter(chapter, rng)) for chapter in video.chapters
    ]
    scenes = [rows.caption_row(scene.start, scene.end, caption_scene(scene, rng)) for scene in video.scenes]
    return rows.video_row(video.id, video.duration, caption, chapters, scenes)


def query_row(video: Video, query: Query) -> dict[str, Any]:
    """A query with the score of every scene and its true clips."""
    return rows.query_row(video.id, query.text, query.kind, query.scores, make_clips(video.scenes, query))


def qa_row(video: Video, question: Question) -> dict[str, Any]:
    """A multiple-choice question with the spans that hold its answer."""
    spans = [(video.scenes[index].start, video.scenes[index].end) for index in question.evidence]
    return rows.qa_row(video.id, question.text, question.kind, question.options, question.answer, spans)
