"""What a query looks for, and where: its times become spans, the rest is what the selector is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kframes_plugin.clips.geometry import inside, overlaps, union
from kframes_plugin.query.english import ENGLISH
from kframes_plugin.query.phrases import Phrase, find_phrases, words_outside
from kframes_plugin.query.time_words import TimeWords
from kframes_plugin.query.times import Scenes, resolve
from kframes_plugin.query.tokens import Tokens
from kframes_plugin.types import Clip, Note, Span

# The options of a multiple choice, on lines of their own or not: their times are no question.
_OPTION = re.compile(r"(?:^|\s)[(\[]?(?:A|1)[).\]:]\s.*?\s[(\[]?(?:B|2)[).\]:]\s", re.DOTALL)
_EMPTY = re.compile(r"\(\s*\)|\[\s*\]")
_SPACED = re.compile(r"\s+([,;:.!?)\]])")
_REPEATED = re.compile(r"([,;:])(?:\s*[,;:])+")
_EDGES = " \t\n,;:-–—"


@dataclass(frozen=True)
class ReadQuery:
    """A query, read.

    Attributes:
        text: what the selector is asked; "" where the query says nothing but a time, so that no selector is needed.
        spans: seconds, outside of which nothing is looked at, in time order, apart; none: the whole video.
        clips: where ``text`` is empty, the spans as clips.
        notes: what was read in the query.
    """

    text: str
    spans: tuple[Span, ...]
    clips: tuple[Clip, ...] = ()
    notes: tuple[Note, ...] = ()


def read_query(
    query: str,
    spans: Sequence[Span],
    duration: float,
    timestamps: ArrayLike,
    scenes: Scenes,
    words: TimeWords | None = ENGLISH,
) -> ReadQuery:
    """Read the times that a query names, and join them with the spans that were asked for.

    A phrase outside of the video or of the spans is not followed: its words stay in the query, and a note says so.

    Args:
        query: what is looked for, in words.
        spans: what start, end and within leave of the video, in time order, apart; none: all of it.
        duration: length of the video, seconds, > 0.
        timestamps: (n,) when the frames of the video come on screen, seconds, rising from 0. A phrase names at least
            the frame that stands at its start.
        scenes: gives the scenes of the video; asked only where the query names one.
        words: the table of the language; None reads no times.
    """
    if words is None or not (phrases := find_phrases(tokens := Tokens(_before_options(query), words))):
        return ReadQuery(query, tuple(spans))
    notes: list[Note] = []
    allowed = list(spans) or [(0.0, duration)]
    read: list[tuple[Phrase, list[Span]]] = []
    for phrase in _drop_weak(tokens, phrases):
        found = _spans_of(phrase, duration, scenes)
        shown = overlaps(_with_frames(found, timestamps, duration), allowed)
        if shown:
            read.append((phrase, shown))
            continue
        where = "the seconds asked for" if found else f"the video of {duration:.1f} s"
        notes.append(Note("time-outside", f'"{_said(tokens, phrase)}" lies outside {where}; it is ignored'))
    if not read:
        return ReadQuery(query, tuple(spans), notes=tuple(notes))
    asked = _combine(tokens, read)
    said = " and ".join(f'"{_said(tokens, phrase)}"' for phrase, _ in read)
    seconds = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in asked)
    notes.insert(0, Note("time-read", f"reads {said} as {seconds} s"))
    if _says_nothing_else(tokens, [phrase for phrase, _ in read]) and len(tokens.query) == len(query):
        clips = tuple(Clip(start, end, "P1", f"the query names {said}") for start, end in asked)
        return ReadQuery("", asked, clips, tuple(notes))
    return ReadQuery(_without(query, tokens, [phrase for phrase, _ in read]), asked, notes=tuple(notes))


def is_time_alone(query: str, spans: Sequence[Span], duration: float, timestamps: ArrayLike) -> bool:
    """Whether a query says nothing but times that can be told without a selector: none of a scene.

    Args:
        query, spans, duration, timestamps: as for :func:`read_query`.
    """
    return not read_query(query, spans, duration, timestamps, scenes=tuple).text


def without_times(query: str, words: TimeWords = ENGLISH) -> str:
    """The query without the times that it names."""
    tokens = Tokens(_before_options(query), words)
    phrases = _drop_weak(tokens, find_phrases(tokens))
    return _without(query, tokens, phrases) if phrases else query


def _before_options(query: str) -> str:
    found = _OPTION.search(query)
    return query if found is None else query[: found.start()]


def _drop_weak(t: Tokens, phrases: list[Phrase]) -> list[Phrase]:
    """The phrases, without those that are no times where anything else is asked for."""
    alone = _says_nothing_else(t, phrases)
    return [phrase for phrase in phrases if alone or not phrase.is_weak]


def _says_nothing_else(t: Tokens, phrases: list[Phrase]) -> bool:
    return all(word in t.words.fillers | t.words.ands | t.words.ors for word in words_outside(t, phrases))


def _said(t: Tokens, phrase: Phrase) -> str:
    return t.query[t.list[phrase.start].start : t.list[phrase.end - 1].end]


def _spans_of(phrase: Phrase, duration: float, scenes: Scenes) -> list[Span]:
    """The seconds of a phrase; none where all of it lies outside of the video."""
    found = [span for part in phrase.intervals if (span := resolve(part, duration, scenes)) is not None]
    if not phrase.is_negated or not found:
        return union(found)
    edges = [0.0, *(edge for span in union(found) for edge in span), duration]
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]


def _with_frames(spans: Iterable[Span], timestamps: ArrayLike, duration: float) -> list[Span]:
    """The spans; one in which no frame begins starts with the frame that stands there."""
    times = np.asarray(timestamps, dtype=np.float64)
    wide = []
    for start, end in spans:
        if not inside(times, [(start, end)]).any():
            start = float(times[max(int(np.searchsorted(times, start, side="right")) - 1, 0)])
        wide.append((start, min(end, duration)))
    return union(wide)


def _combine(t: Tokens, read: Sequence[tuple[Phrase, list[Span]]]) -> tuple[Span, ...]:
    """The seconds of several phrases together, as English joins them.

    "or" adds. What limits ("after 1:00 and before 2:00", "in the second half, in the last scene") leaves what lies in
    both. "and" between two areas adds them, and so does everything whose parts have nothing in common.
    """
    first, spans = read[0]
    before = first.end
    for phrase, more in read[1:]:
        between = {t.text(place) for place in range(before, phrase.start)}
        both = overlaps(spans, more)
        adds = between & t.words.ors or (between & t.words.ands and not (first.is_open or phrase.is_open))
        if phrase.is_negated or first.is_negated:
            spans = both or spans
        else:
            spans = both if both and not adds else union([*spans, *more])
        first, before = phrase, phrase.end
    return tuple(union(spans))


def _without(query: str, t: Tokens, phrases: Sequence[Phrase]) -> str:
    """The query without phrases, and without what only joined them."""
    kept, at = "", 0
    for number, phrase in enumerate(phrases):
        start = t.list[phrase.start].start
        joint = query[at:start]
        joined = number and all(
            t.text(place) in t.words.ands | t.words.ors | t.words.commas
            for place in range(phrases[number - 1].end, phrase.start)
        )
        kept += " " if joined else joint
        at = t.list[phrase.end - 1].end
    rest = _EMPTY.sub(" ", kept + query[at:])
    rest = _REPEATED.sub(r"\1", _SPACED.sub(r"\1", " ".join(rest.split(" "))))
    return re.sub(r"[ \t]{2,}", " ", rest).strip(_EDGES)
