"""Read key clips out of whatever a model wrote. Pure: no torch, no files."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kframes_plugin.clips.geometry import candidate_edges
from kframes_plugin.prompt.build import DEFAULT_FORMAT, PromptFormat
from kframes_plugin.prompt.extract import AS_SPANS, MAX_REASON, Answer, RawClip, read_answer, tidy_text
from kframes_plugin.prompt.repair import disjoint, fit, in_seconds
from kframes_plugin.prompt.write import needed
from kframes_plugin.types import Clip, Prediction, Span

MAX_CLIPS = 64


def parse_clips(
    text: str,
    duration: float,
    *,
    fmt: PromptFormat = DEFAULT_FORMAT,
    times: Sequence[float] | None = None,
    max_clips: int = MAX_CLIPS,
    max_reason: int = MAX_REASON,
) -> Prediction:
    """Read the clips out of whatever a model wrote. Never raises for a text; every repair is a note.

    Cut-off or broken JSON, fences and talk around it, other keys and spellings, times as text ("12.5s", "1:05"),
    swapped or outside values are mended; what cannot be is dropped. Spans in sentences are read ("from 61.0s to 74.5s",
    "1:01 - 1:14", other languages), after any thinking block; what only looks like one (a date, a score, a length, a
    citation) is not. Points become the span of their candidate (of 1 s where no ``times`` are given). Duplicates go;
    overlapping clips of one priority are merged, and P2 gives way to P1, so the clips that come back are disjoint. In
    index mode clip [i, j) runs from edge i to edge j of :func:`~kframes_plugin.clips.geometry.candidate_edges`.

    Args:
        text: the answer.
        duration: length of the video, seconds, > 0.
        fmt: how the model was taught to write.
        times: timestamps of the candidates, seconds, ascending; needed in index mode.
        max_clips: more clips than this are cut, the worst first.
        max_reason: longer reasons are cut to this many characters.

    Returns:
        Disjoint clips inside [0, duration], P1 before P2 and otherwise in the order written. No clips and no
        note: the model answered ``[]``. No clips and a note: nothing usable was written. Where ``fmt.answer`` is
        "spans", that clips lack priority and reason, and that spans stand in a sentence, is no repair.

    Raises:
        ValueError: duration is not positive, or index mode without times.
    """
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"duration must be a positive number of seconds; got {duration}")
    indexed = fmt.time_format == "index"
    edges = candidate_edges(needed(times) if indexed else times or (), duration)
    answer = read_answer(text, prose=not indexed)
    clips: list[Clip] = []
    for raw in answer.clips:
        span = in_seconds((raw.start, raw.end), edges, answer) if indexed else (raw.start, raw.end)
        if fitted := fit(span, duration, edges if times else None, answer):
            clips.append(_clip(raw, fitted, fmt, max_reason, answer))
    kept = disjoint(clips, max_clips, answer)
    return Prediction(kept, notes=answer.notes(spans=fmt.answer == "spans"))


def _clip(raw: RawClip, span: Span, fmt: PromptFormat, max_reason: int, answer: Answer) -> Clip:
    if raw.reason is None and fmt.reasons:
        answer.repaired("left the missing reason of a clip empty", AS_SPANS)
    reason = tidy_text(raw.reason or "", max_reason)
    if reason != (raw.reason or ""):
        answer.repaired("tidied or shortened a reason")
    return Clip(*span, priority=raw.priority, reason=reason)
