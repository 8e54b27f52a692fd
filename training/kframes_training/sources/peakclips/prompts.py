"""Every prompt of the pipeline. Change the wording here; answers to a changed prompt are asked for anew.

A prompt also carries ``facts``: what it is about, as values, for annotators that read no text (the oracle).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kframes_plugin.types import Span

KINDS: dict[str, str] = {
    "needle": "asks for one short moment that a single scene shows",
    "attribute": "asks for a detail of something shown: its colour, its shape, a text on it",
    "action": "asks when something is done",
    "order": "asks what comes right before or right after something",
    "count": "asks for every time that something happens or appears, at least twice",
    "holistic": "asks about the video as a whole",
    "absent": "asks for something plausible that the video does not show",
}
GIVEN = "given"  # the kind of queries that were not written here


@dataclass(frozen=True)
class Prompt:
    """One question to an annotator.

    Attributes:
        task: "scene", "chapter", "video", "queries", "relevance" or "questions"; the form of the answer (answers.py).
        text: what a language model reads.
        facts: what it is about, as values: "video_id", "spans" and more by task.
    """

    task: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def scene(video_id: str, span: Span, frames: int) -> Prompt:
    """Frames of one scene -> its caption."""
    text = (
        f"These are {frames} frames of one scene of a video, in time order; the scene lasts from {span[0]:.1f} to "
        f"{span[1]:.1f} seconds.\n"
        "Describe the scene in one sentence of at most 40 words: who or what is seen, doing what, where. Copy text "
        "that can be read. Say nothing that the frames do not show.\n"
        'Answer with nothing but JSON: {"caption": "..."}'
    )
    return Prompt("scene", text, {"video_id": video_id, "spans": [span]})


def chapter(video_id: str, spans: Sequence[Span], captions: Sequence[str]) -> Prompt:
    """Captions of neighbouring scenes -> the chapter's caption."""
    text = (
        "These are the scenes of one chapter of a video:\n"
        f"{_listed(spans, captions)}\n"
        "Say in one sentence of at most 40 words what happens in the chapter.\n"
        'Answer with nothing but JSON: {"caption": "..."}'
    )
    return Prompt("chapter", text, {"video_id": video_id, "spans": list(spans)})


def video(video_id: str, spans: Sequence[Span], captions: Sequence[str]) -> Prompt:
    """Captions of the chapters -> the video's caption."""
    text = (
        "These are the chapters of a video:\n"
        f"{_listed(spans, captions)}\n"
        "Say in one or two sentences of at most 60 words what the video is about.\n"
        'Answer with nothing but JSON: {"caption": "..."}'
    )
    return Prompt("video", text, {"video_id": video_id, "spans": list(spans)})


def queries(
    video_id: str, caption: str, spans: Sequence[Span], captions: Sequence[str], kinds: Sequence[str]
) -> Prompt:
    """The captions of a video -> one query of every kind asked for."""
    listed = "\n".join(f'- "{kind}": {KINDS[kind]}' for kind in kinds)
    text = (
        f"A video: {caption}\nIts scenes:\n{_listed(spans, captions)}\n"
        f"Write {len(kinds)} queries that a viewer might search the video with, one of each of these kinds:\n{listed}\n"
        "Do not name times or scene numbers. Say things in your own words, not in those of the captions.\n"
        'Answer with nothing but JSON: {"queries": [{"kind": "...", "query": "..."}]}'
    )
    return Prompt("queries", text, {"video_id": video_id, "spans": list(spans), "kinds": list(kinds)})


def relevance(
    video_id: str, query: str, kind: str, spans: Sequence[Span], captions: Sequence[str], first: int, count: int
) -> Prompt:
    """A query and all captions -> scores of the ``count`` scenes from number ``first`` (from 0) on."""
    last = first + count
    text = (
        f"The scenes of a video:\n{_listed(spans, captions)}\n"
        f"Query: {query}\n"
        f"How much must a viewer see of scenes {first + 1} to {last} to answer the query? Give each of them a score:\n"
        "5: it answers the query, in full or in part\n4.5: it helps much\n3: it has to do with the query, but does not "
        "help to answer it\n2: hardly related\n1: not related\n"
        "Numbers between are allowed. The reason, at most 15 words, says what of the query is seen; empty below 4.\n"
        f'Answer with nothing but JSON: {{"scores": [{{"scene": {first + 1}, "score": ..., "reason": "..."}}, ...]}} '
        f"with each of the {count} scenes once."
    )
    numbers = list(range(first + 1, last + 1))
    return Prompt(
        "relevance",
        text,
        {"video_id": video_id, "spans": list(spans), "query": query, "kind": kind, "scenes": numbers},
    )


def questions(video_id: str, caption: str, spans: Sequence[Span], captions: Sequence[str], count: int) -> Prompt:
    """The captions of a video -> multiple-choice questions."""
    text = (
        f"A video: {caption}\nIts scenes:\n{_listed(spans, captions)}\n"
        f"Write {count} multiple-choice questions that can only be answered by who sees certain scenes. Each has four "
        "different options, one of them right (answer: its index, 0 to 3), the others plausible; scenes: the numbers "
        "of the scenes that hold the answer; kind: one of needle, attribute, action, order, count.\n"
        'Answer with nothing but JSON: {"questions": [{"question": "...", "kind": "...", "options": ["...", "...", '
        '"...", "..."], "answer": 0, "scenes": [1]}]}'
    )
    return Prompt("questions", text, {"video_id": video_id, "spans": list(spans), "count": count})


def repair(problem: str) -> str:
    """What is said to a model whose answer cannot be used."""
    return (
        f"That answer cannot be used: {problem}\nAnswer again, with nothing but JSON of the form that was asked for, "
        "complete and without comments."
    )


def _listed(spans: Sequence[Span], captions: Sequence[str]) -> str:
    lines = zip(spans, captions, strict=True)
    return "\n".join(f"{i}. [{a:.1f}-{b:.1f} s] {text or '(no caption)'}" for i, ((a, b), text) in enumerate(lines, 1))
