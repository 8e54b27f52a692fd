"""Which passages of a transcript, or of text on screen, answer a query, and how surely. Pure, numpy only.

A passage is a line, or two lines that follow each other. Its words are compared with those of the query by BM25
(Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009), as a share of what a line with every word of
the query would get; its meaning by the cosine of embeddings, where somebody gives them. A logistic curve over both is
the chance that it answers the query.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.evidence.terms import FOR_TEXT, SCREEN, SPEECH, find_terms, is_alike
from kframes_plugin.types import Line

Kind = Literal["said", "on screen"]
Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]  # n texts -> (n, d) of length 1

K1, B = 1.2, 0.4  # of BM25; lines are short and of one length, so length counts less than in documents
FEW = 50  # lines that text on screen counts as at least: in a film with one title its words are no less rare
ALIKE = 0.9  # worth of a word that is only like the one that was asked for
NEAR = 1.5  # seconds between lines that may be one passage
LEAST = 0.2  # a passage below this chance is no match: one query in eighty that nothing answers has one above it
MOST = 8  # passages of a query
# Logistic curves: fitted to 3,008 pairs of a query and a line (LOG.md). Words alone: letters may have been misread, so
# that a meaning cannot be known.
OFFSET, WORDS, MEANING = -7.5, 4.2, 15.0
WORDS_OFFSET, WORDS_ALONE = -5.8, 8.0
ASKED = 2.5  # more where the query asks for text, as "the title ..." and "a sign that says ..."


@dataclass(frozen=True)
class Match:
    """A passage that answers a query.

    Attributes:
        start, end: seconds.
        text: its words.
        chance: that it answers the query, 0..1.
        kind: "said" or "on screen".
    """

    start: float
    end: float
    text: str
    chance: float
    kind: Kind

    @property
    def reason(self) -> str:
        """When and what, quoted: 'said at 61.2 s: "..."'."""
        at = self.start if self.kind == "said" else (self.start + self.end) / 2  # text may stand shorter than its span
        text = self.text if len(self.text) <= 120 else self.text[:117].rstrip() + "..."
        return f'{self.kind} at {round(at, 1):g} s: "{text}"'


class Passages:
    """The passages of some lines, ready for many queries.

    Args:
        lines: in time order.
        kind: "said", or "on screen": then words match loosely (:func:`~kframes_plugin.evidence.terms.is_alike`).
        embed: texts -> embeddings of length 1; called once with all lines. None: words alone decide.
    """

    def __init__(self, lines: Sequence[Line], kind: Kind, embed: Embed | None = None) -> None:
        self.kind: Kind = kind
        self._embed = embed
        self._lines = tuple(lines)
        pairs = [(place, place + 2) for place, (one, other) in enumerate(pairwise(lines)) if _follow(one, other)]
        self._places = [(place, place + 1) for place in range(len(lines))] + (pairs if kind == "said" else [])
        self._empty = SPEECH if kind == "said" else SCREEN
        terms = [find_terms(line.text, self._empty) for line in lines]
        self._counts = [Counter(term for part in terms[a:b] for term in part) for a, b in self._places]
        self._lengths = np.array([sum(counts.values()) for counts in self._counts], np.float64)
        self._mean = max(1.0, float(self._lengths[: len(lines)].mean())) if lines else 1.0
        self._known = sorted({term for part in terms for term in part})
        self._many = max(len(lines), FEW if kind == "on screen" else 0)
        self._vectors = embed([line.text for line in lines]) if embed is not None and lines else None

    def search(self, query: str, least: float = LEAST) -> list[Match]:
        """The passages that answer a query, best first, apart from each other and at most ``MOST``; often none.

        Args:
            query: in words.
            least: chance that a passage must have, 0..1.
        """
        if not self._lines:
            return []
        chances = self.find_chances(query)
        found: list[Match] = []
        used: set[int] = set()
        for place in np.argsort(-chances, kind="stable").tolist():
            first, end = self._places[place]
            if chances[place] < least or len(found) == MOST:
                break
            if used.isdisjoint(range(first, end)):
                used.update(range(first, end))
                part = self._lines[first:end]
                text, last = " ".join(line.text for line in part), max(line.end for line in part)
                found.append(Match(part[0].start, last, text, float(chances[place]), self.kind))
        return found

    def find_chances(self, query: str) -> NDArray[np.float64]:
        """(passages,) that each answers the query, 0..1."""
        words = self.compare_words(query)
        asked = self.kind == "on screen" and not FOR_TEXT.isdisjoint(query.casefold().split())
        alone = WORDS_OFFSET + WORDS_ALONE * words + ASKED * asked
        if self._vectors is None:
            return 1 / (1 + np.exp(-alone))
        both = OFFSET + WORDS * words + MEANING * self.compare_meaning(query)
        return 1 / (1 + np.exp(-(np.maximum(both, alone) if self.kind == "on screen" else both)))

    def compare_words(self, query: str) -> NDArray[np.float64]:
        """(passages,) BM25, 1 for a passage of usual length with every word of the query once; 0 to 1."""
        score, best = np.zeros(len(self._places)), 0.0
        for term in dict.fromkeys(find_terms(query, self._empty)):
            counts = self._count(term)
            having = int((counts[: len(self._lines)] > 0).sum())
            rarity = math.log(1 + (self._many - having + 0.5) / (having + 0.5))
            best += rarity
            score += rarity * counts * (K1 + 1) / (counts + K1 * (1 - B + B * self._lengths / self._mean))
        return np.clip(score / best, 0.0, 1.0) if best else score

    def _count(self, term: str) -> NDArray[np.float64]:
        """(passages,) how often each has the word; what is only alike counts a little less."""
        worth = {one: ALIKE for one in self._known if is_alike(term, one)} if self.kind == "on screen" else {}
        worth[term] = 1.0
        return np.array(
            [max(count[one] * weight for one, weight in worth.items()) for count in self._counts], np.float64
        )

    def compare_meaning(self, query: str) -> NDArray[np.float64]:
        """(passages,) cosine of meanings, 0 to 1; 0 where there are no embeddings."""
        if self._vectors is None or self._embed is None:
            return np.zeros(len(self._places))
        near = (self._vectors @ self._embed([query])[0]).astype(np.float64)
        return np.array([near[first:end].mean() for first, end in self._places]).clip(0.0)


def _follow(one: Line, other: Line) -> bool:
    return other.start - one.end < NEAR
