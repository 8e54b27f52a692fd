"""Words as a selector of their own, and as evidence beside a selector of looks.

``lite``'s text encoder tells what lines mean; its pictures are not looked at here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.from_scores import RELATIVE, RelevanceRule, relevance
from kframes_plugin.evidence.fusion import clips_of_matches, estimate_looks, fuse
from kframes_plugin.evidence.ranking import LEAST, Kind, Match, Passages
from kframes_plugin.scorers import find_scores
from kframes_plugin.types import Cost, Frame, Line, Note, Prediction

if TYPE_CHECKING:
    from kframes_plugin.selectors.lite.text import TextEncoder

LEAST_ALONE = 0.1  # a passage's least chance where nothing but words is known: the other choice is to spread the frames
KINDS: tuple[tuple[Kind, str], ...] = (("said", "transcript"), ("on screen", "screen_text"))


class WordsSelector:
    """Clips where the words answer the query: what is said, and text on screen where it was read.

    It looks at no picture: one candidate is decoded, and the keyframes. Lines come with the :class:`Candidates`;
    :class:`~kframes_plugin.KFrames` puts them there.

    Attributes:
        candidates: 1.
        snap_to_cuts: False: lines know their times.
    """

    name = "words"
    candidates = 1
    snap_to_cuts = False

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips, best first; none, with a note, where no line answers.

        Args:
            frames: :class:`Candidates` with lines.
            query: what is looked for, in words.
        """
        cost = Cost(candidates=len(frames))
        if not any(_lines(frames, name) for _, name in KINDS):
            return Prediction(notes=[Note("no-transcript", "this video has no words to search")], cost=cost)
        clips = clips_of_matches(find_matches(frames, query, LEAST_ALONE))
        nothing = Note("nothing-found", "no line that is spoken or shown answers the query")
        return Prediction(clips, notes=[] if clips else [nothing], cost=cost)


def add_words(selector: Any, frames: Sequence[Frame], query: str, answer: Prediction) -> Prediction:
    """What a selector of looks says, joined with what the words say.

    Args:
        selector: the one that answered. It must score frames (:mod:`kframes_plugin.scorers`), and not read words
            itself (``reads_words``); any other selector is left alone.
        frames: what it was shown.
        query: what is looked for.
        answer: its clips.

    Returns:
        The answer itself where no words match; else a prediction with joined clips.
    """
    score = find_scores(selector)
    if score is None or getattr(selector, "reads_words", False):
        return answer
    matches = find_matches(frames, query)
    if not matches:
        return answer
    times = [frame.timestamp for frame in frames]
    looks = np.zeros(len(times))
    if answer:  # a selector that abstains says that looks tell nothing
        looks = _estimate_looks(np.asarray(score(frames, query), np.float64), getattr(selector, "rule", RELATIVE))
    notes = [note for note in answer.notes if note.code not in ("nothing-found", "unknown-words")]
    return Prediction(fuse(answer, looks, times, matches), notes=notes, cost=answer.cost)


def _estimate_looks(scores: NDArray[np.float64], rule: RelevanceRule) -> NDArray[np.float64]:
    """(n,) scores as chances. Scores that are probabilities, as their rule says, are that already."""
    chances = relevance(scores, rule)
    return chances if (rule.floor, rule.ceiling) == (0.0, 1.0) else estimate_looks(chances)


def find_matches(frames: Sequence[Frame], query: str, least: float = LEAST) -> list[Match]:
    """The passages of all kinds that answer a query with at least this chance."""
    return [
        match
        for kind, name in KINDS
        if (lines := _lines(frames, name))
        for match in _passages(kind, lines).search(query, least)
    ]


def _lines(frames: Sequence[Frame], name: str) -> tuple[Line, ...]:
    lines: tuple[Line, ...] = getattr(frames, name, ())
    return lines


@lru_cache(maxsize=8)  # of the last videos: a line takes 4 ms to embed
def _passages(kind: Kind, lines: tuple[Line, ...]) -> Passages:
    """The passages of some lines, made once."""
    return Passages(lines, kind, _encoder())


@cache
def _encoder() -> TextEncoder:
    from kframes_plugin.selectors.lite.selector import FOLDER
    from kframes_plugin.selectors.lite.text import TextEncoder

    return TextEncoder(FOLDER)
