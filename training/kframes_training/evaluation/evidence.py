"""A selector of looks beside itself with words: text on screen is read, and joined as ``KFrames`` joins it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from kframes_plugin.kframes import KFrames
from kframes_plugin.selectors.words import add_words
from kframes_plugin.types import Candidates, Cost, Prediction
from kframes_plugin.words.options import WordOptions
from kframes_plugin.words.video_words import VideoWords
from kframes_training.evaluation.candidates import CandidatePool, MeasuredVideo
from kframes_training.evaluation.scorers import FrameScores
from kframes_training.evaluation.selectors import Choice, ClipSelector
from kframes_training.sources.datasets import Item


class ScreenTextSelector(ClipSelector):
    """What a selector with scores names, joined with text on screen.

    Args:
        name: of its lines.
        kframes: the selector with its T, sizes and strategy.
        settings: what tells the selector from others.
    """

    def __init__(self, name: str, kframes: KFrames, settings: Mapping[str, Any]) -> None:
        super().__init__(name, kframes, {**settings, "words": "on screen"})
        self._looks = self.memory.selector

    def choose(
        self, video: MeasuredVideo, items: Sequence[Item], ks: Sequence[int], scores: Sequence[FrameScores] = ()
    ) -> list[Choice]:
        """As for :class:`ClipSelector`; text is read once a video, at the first query's cost."""
        pool, queries = video.pool(self.kframes.candidates, self.kframes.candidate_size), [item.query for item in items]
        self.memory.predict_all(pool.frames, queries)
        frames, took = self._read(video, pool)
        choices = []
        found = [one.find_all(pool.frames, queries, video.video) for one in (self.kframes, self._at_candidates)]
        for query, free, bound in zip(queries, *found, strict=True):
            joined = {"free": self._join(frames, query, free), "candidates": self._join(frames, query, bound)}
            joined["free"].cost += Cost(seconds={"text on screen": took})
            choices.append(self._spend(video, pool, ks, joined, self.memory.seconds(pool.frames, query)))
            took = 0.0
        return choices

    def _read(self, video: MeasuredVideo, pool: CandidatePool) -> tuple[Candidates, float]:
        """The candidates with the text on them, and the seconds that reading it took; once a pool."""
        if self.name not in pool.frames.cache:
            start = perf_counter()
            read = Candidates(pool.frames, pool.frames.duration)
            VideoWords(video.video, WordOptions(transcript=None, ocr=True)).give_to(read)
            read.cache = pool.frames.cache
            pool.frames.cache[self.name] = (read, perf_counter() - start)
            return read, perf_counter() - start
        return pool.frames.cache[self.name][0], 0.0

    def _join(self, frames: Candidates, query: str, told: Prediction) -> Prediction:
        joined = add_words(self._looks, frames, query, told)
        return (
            joined if joined is not told else Prediction(told, nearest=told.nearest, notes=told.notes, cost=told.cost)
        )
