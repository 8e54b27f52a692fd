"""SynthScenes as PeakClips rows: plain dicts of strings, numbers and lists, as parquet keeps them.

video row   {"video_id", "duration", "caption", "chapters": [{"start", "end", "caption"}], "scenes": [same]}
query row   {"video_id", "query", "kind", "scores": [1..5 a scene], "clips": [{"start", "end", "priority", "reason"}]}
QA row      {"video_id", "question", "kind", "options": [4], "answer": index, "evidence": [[start, end]]}
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from kframes_plugin.types import Clip, Priority
from kframes_training.synthetic.language import Query, Question, caption_chapter, caption_scene, caption_video
from kframes_training.synthetic.world import Scene, Video

P1_SCORE, P2_SCORE = 4.9, 4.3  # the paper's thresholds


def clips_of(
    scenes: Sequence[Scene], query: Query, *, p1_score: float = P1_SCORE, p2_score: float = P2_SCORE
) -> list[Clip]:
    """The clips of a query: neighbouring scenes of the same priority and reason are one clip; P1 first, then by time."""
    clips: list[Clip] = []
    for scene, score, reason in zip(scenes, query.scores, query.reasons, strict=True):
        if score < p2_score:
            continue
        priority: Priority = "P1" if score >= p1_score else "P2"
        last = clips[-1] if clips else None
        if last and last.end == scene.start and (last.priority, last.reason) == (priority, reason):
            clips[-1] = Clip(last.start, scene.end, priority, reason)
        else:
            clips.append(Clip(scene.start, scene.end, priority, reason))
    return sorted(clips, key=lambda clip: (clip.priority, clip.start))


def video_row(video: Video, rng: Random | None = None) -> dict[str, Any]:
    """The captions of a video on three levels; ``rng`` chooses the wording (default: from the seed)."""
    rng = rng or Random(f"captions {video.seed}")
    return {
        "video_id": video.id,
        "duration": video.duration,
        "caption": caption_video(video.chapters, rng),
        "chapters": [
            {"start": chapter[0].start, "end": chapter[-1].end, "caption": caption_chapter(chapter, rng)}
            for chapter in video.chapters
        ],
        "scenes": [{"start": s.start, "end": s.end, "caption": caption_scene(s, rng)} for s in video.scenes],
    }


def query_row(video: Video, query: Query) -> dict[str, Any]:
    """A query with the score of every scene and its true clips."""
    clips = clips_of(video.scenes, query)
    return {
        "video_id": video.id,
        "query": query.text,
        "kind": query.kind,
        "scores": list(query.scores),
        "clips": [{"start": c.start, "end": c.end, "priority": c.priority, "reason": c.reason} for c in clips],
    }


def qa_row(video: Video, question: Question) -> dict[str, Any]:
    """A multiple-choice question with the spans that hold its answer."""
    spans = [[video.scenes[index].start, video.scenes[index].end] for index in question.evidence]
    return {
        "video_id": video.id,
        "question": question.text,
        "kind": question.kind,
        "options": list(question.options),
        "answer": question.answer,
        "evidence": spans,
    }
