"""The training tasks of SynthScenes: for a video and its candidates what is asked, answered, and relevant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from kframes_plugin.prompt import PromptFormat, write_clips
from kframes_training.rows import P1_SCORE, P2_SCORE
from kframes_training.sources.synthscenes.attributes import invent_attributes, take_attributes
from kframes_training.sources.synthscenes.language import (
    Query,
    caption_scene,
    describe_match,
    describe_thing,
    make_query,
)
from kframes_training.sources.synthscenes.rows import make_clips
from kframes_training.sources.synthscenes.words import DOING
from kframes_training.sources.synthscenes.world import Scene

# Shares of the tasks. Stage 1: a caption -> its span, a span -> its caption, (span, query) -> score 1 to 5.
STAGE1 = {"word": 2.0, "ground": 4.0, "describe": 2.0, "score": 2.0}
STAGE2 = {"needle": 6.0, "attribute": 2.0, "action": 2.0, "order": 2.0, "count": 3.0, "holistic": 0.5, "absent": 3.0}
MOST_CLIPS = 6  # in an answer


@dataclass(frozen=True)
class Task:
    """One thing to learn from a video.

    Attributes:
        query: what is asked.
        answer: what the model shall write.
        relevance: for every candidate an index into RELEVANCE.
        scenes: for every candidate what it shows.
        kind: a key of STAGE1 or STAGE2.
    """

    query: str
    answer: str
    relevance: tuple[int, ...]
    scenes: tuple[Scene, ...]
    kind: str


def candidate_times(duration: float, count: int) -> list[float]:
    """Middles of ``count`` equal spans of the video, seconds."""
    return [(i + 0.5) * duration / count for i in range(count)]


def make_task(kind: str, scenes: Sequence[Scene], where: Sequence[int], rng: Random, fmt: PromptFormat) -> Task | None:
    """Make a task of one kind, or None where the video offers none.

    Args:
        kind: a key of STAGE1 or STAGE2.
        scenes: of the video, starting at 0.
        where: for every candidate the index of its scene.
        rng: source of all chance.
        fmt: how times are written.
    """
    shown = sorted(set(where))
    if kind in STAGE1:
        return _make_stage1(kind, scenes, where, rng, rng.choice(shown), fmt)
    query = make_query(kind, scenes, rng)
    if query is None:
        return None
    # what falls between two candidates cannot be found: it is no part of the target
    scores = tuple(score if index in shown else 1.0 for index, score in enumerate(query.scores))
    if kind != "absent" and max(scores) < P2_SCORE:
        return None
    return _ask(replace(query, scores=scores), scenes, where, fmt)


def _ask(query: Query, scenes: Sequence[Scene], where: Sequence[int], fmt: PromptFormat) -> Task:
    """The task whose answer are the true clips of a query."""
    relevance = tuple(_level(query.scores[index]) for index in where)
    answer = write_answer(scenes, query, len(where), fmt)
    return Task(query.text, answer, relevance, tuple(scenes[i] for i in where), query.kind)


def write_answer(scenes: Sequence[Scene], query: Query, candidates: int, fmt: PromptFormat) -> str:
    """Write the true clips of a query in the wire form, MOST_CLIPS at most."""
    duration = scenes[-1].end
    clips = make_clips(scenes, query)[:MOST_CLIPS]
    return write_clips(clips, duration, fmt=fmt, times=candidate_times(duration, candidates))


def _level(score: float) -> int:
    """Index into RELEVANCE of a scene's score."""
    return 3 if score >= P1_SCORE else 2 if score >= P2_SCORE else 1 if score > 1 else 0


def _make_stage1(
    kind: str, scenes: Sequence[Scene], where: Sequence[int], rng: Random, goal: int, fmt: PromptFormat
) -> Task | None:
    shown = tuple(scenes[i] for i in where)
    relevance = tuple(3 if i == goal else 0 for i in where)
    scene = scenes[goal]
    if kind == "ground":
        text = f"{describe_thing(scene.things[0])} on {scene.background}"
        hits = [index == goal for index in range(len(scenes))]
        scores = tuple(5.0 if hit else 1.0 for hit in hits)
        reasons = tuple(text if hit else "" for hit in hits)
        query = Query(f"find: {caption_scene(scene, rng)}", kind, scores, reasons)
        return Task(query.text, write_answer(scenes, query, len(where), fmt), relevance, shown, kind)
    if kind == "word":
        return _ask(_make_word(scenes, rng), scenes, where, fmt)
    first, last = where.index(goal), len(where) - where[::-1].index(goal)
    span = f"{first} to {last}" if fmt.time_format == "index" else f"{scene.start:.1f} to {scene.end:.1f}"
    if kind == "describe":
        return Task(f"describe {span}", caption_scene(scene, rng), relevance, shown, kind)
    asked = make_query(rng.choice(("needle", "count", "attribute", "absent")), scenes, rng)
    if asked is None:
        return None
    return Task(f"rate {span}: {asked.text}", str(round(asked.scores[goal] - 0.01)), relevance, shown, kind)


def _make_word(scenes: Sequence[Scene], rng: Random) -> Query:
    """A query of a single word of the vocabulary, shown or not."""
    name = rng.choice(("colour", "shape", "motion", "background", "label", "label"))  # most labels are rare
    target = take_attributes(scenes, rng, (name,)) if rng.random() < 0.7 else invent_attributes(rng, (name,))
    if getattr(target, name) in ("", "still"):
        target = invent_attributes(rng, (name,))
    value = getattr(target, name)
    scores = tuple(target.score(scene) for scene in scenes)
    reasons = tuple(
        describe_match(target, scene) if score >= P2_SCORE else "" for scene, score in zip(scenes, scores, strict=True)
    )
    return Query(rng.choice(DOING[value]) if name == "motion" else value, "word", scores, reasons)
