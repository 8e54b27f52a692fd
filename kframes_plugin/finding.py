"""From candidates and queries to clips: ask the selector, check what it says, put ends on cuts, add what words tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.clips.allocation import is_unsure
from kframes_plugin.clips.geometry import overlaps, union
from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.clips.windows import trim_to_windows
from kframes_plugin.text import whole_text
from kframes_plugin.types import Candidates, Clip, Cost, Line, Note, Prediction, Selector, Span
from kframes_plugin.video import OpenVideo

if TYPE_CHECKING:
    from kframes_plugin.kframes import KFrames


def find_clips(
    kframes: KFrames, frames: Candidates, queries: Sequence[str], video: OpenVideo, within: Sequence[Span]
) -> list[Prediction]:
    """See :meth:`KFrames.find_all`."""
    spans = within or [(0.0, video.duration)]
    found, queries = [], [whole_text(query) for query in queries]
    for query, (answer, seconds) in zip(queries, _ask(kframes.selector, frames, queries), strict=True):
        named = _cut(answer, spans)
        spent = Cost(candidates=len(frames), seconds={"selector": seconds})
        cost, clips = replace(named.cost, candidates=0) + spent, trim_to_windows(named, frames)
        if clips and kframes.snap_to_cuts:
            start, before = perf_counter(), video.frames_decoded
            unsure = is_unsure(clips, kframes.sampling.allocation)  # then k does not go by their ends
            snapped = snap_to_cuts(clips, frames, video, size=kframes.candidate_size, only_i_frames=unsure)
            clips = list(_cut(snapped, spans))
            cost += Cost(video.frames_decoded - before, seconds={"snapping": perf_counter() - start})
        told = Prediction(clips, nearest=named.nearest, notes=named.notes, cost=cost)
        if frames.transcript or frames.screen_text:  # lines know their times, so their ends stay off cuts
            from kframes_plugin.selectors.words import add_words

            told = _cut(add_words(kframes.selector, frames, query, told), spans)
        found.append(told)
    return found


def find_said(lines: Sequence[Line], query: str, spans: Sequence[Span]) -> list[Span]:
    """Where lines answer a query: the spans of passages, apart and in time order, inside the spans.

    Args:
        lines: what is spoken, in time order.
        query: what is looked for, in words.
        spans: seconds, apart and in time order.
    """
    if not lines:
        return []
    from kframes_plugin.selectors.words import find_matches

    heard = Candidates((), spans[-1][1], transcript=lines)
    return overlaps(union((match.start, match.end) for match in find_matches(heard, query)), spans)


def _ask(selector: Selector, frames: Candidates, queries: Sequence[str]) -> Iterator[tuple[list[Clip], float]]:
    """Each query's answer and the seconds it took."""
    predict_all = getattr(selector, "predict_all", None)
    if predict_all is not None and len(queries) > 1:
        start = perf_counter()
        answers = predict_all(frames, queries)
        seconds = (perf_counter() - start) / len(queries)
        yield from ((answer, seconds) for answer in answers)
        return
    for query in queries:
        stop_if_cancelled()
        start = perf_counter()
        answer = selector(frames, query)
        yield answer, perf_counter() - start


def _cut(answer: list[Clip], spans: Sequence[Span]) -> Prediction:
    """Check what a selector returned, and keep what lies in the spans."""
    if not isinstance(answer, list) or not all(isinstance(clip, Clip) for clip in answer):
        raise TypeError(f"a selector must return a list of Clip; got {type(answer).__name__}")
    told = answer if isinstance(answer, Prediction) else Prediction(answer)
    notes, kept, nearest = list(told.notes), list[Clip](), list[Clip]()
    for inside, clip in [*((kept, clip) for clip in told), *((nearest, clip) for clip in told.nearest)]:
        parts = overlaps([(clip.start, clip.end)], spans)
        if not parts:
            where = "after the end of the video" if clip.start >= spans[-1][1] else "outside the spans of within="
            text = f"a clip at {clip.start:.1f}-{clip.end:.1f} s lies {where}; dropped"
            notes.append(Note("clip-outside", text))
        inside += [replace(clip, start=start, end=end) for start, end in parts]
    return Prediction(kept, nearest=nearest, notes=notes, cost=told.cost)
