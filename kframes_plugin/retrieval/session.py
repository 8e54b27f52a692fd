"""Retrieval in one opened video: the pool is seen once, and each query gets candidates inside its own windows.

Retrieving first and grounding inside what was retrieved: ExtremeWhenBench (arXiv 2606.12300) finds that most failures
on videos of hours are failures of search. Ours: a pool of I-frames, windows by budget, a share of candidates outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kframes_plugin.clips.geometry import inside, length
from kframes_plugin.clips.windows import choose_stretches, choose_windows, rank_windows, subtract, thin
from kframes_plugin.errors import SelectorError
from kframes_plugin.keyframes import Progress, for_step
from kframes_plugin.retrieval.pool import BATCH, MOST, STRIDE, Pool, Size, find_cheap, stream, take_pool
from kframes_plugin.retrieval.retriever import LONG, LONG_STRIDE, Retriever
from kframes_plugin.scorers import Scores, find_scores
from kframes_plugin.types import Candidates, Clip, Cost, Frame, FrameEmbedder, Note, Span
from kframes_plugin.video import OpenVideo

OUTSIDE = 1 / 8  # of the candidates lie outside the windows, so that a selector can notice that it was led astray
DENSE = 2  # times as many I-frames as candidates: then I-frames alone are candidates in windows
CLOSE = 2.0  # seconds between two candidates in windows; at 4 s, windows twice as long hold fewer of the true spans
MARGIN = 2.0  # seconds that a window shows before and after what scores high


@dataclass(frozen=True, eq=False)
class Looked:
    """What a selector is shown for one query.

    Attributes:
        frames: the candidates.
        scenes: of the whole video, or of the spans asked for.
        nearest: the best windows as clips, best first: what is shown where the selector finds nothing.
        notes, cost: of choosing them.
    """

    frames: Candidates
    scenes: tuple[Span, ...]
    nearest: tuple[Clip, ...] = ()
    notes: tuple[Note, ...] = ()
    cost: Cost = field(default_factory=Cost)


class Retrieval:
    """Chooses candidates by query in one video; keeps the pools it has seen.

    Args:
        retriever: whose scores name the windows.
        video: where the frames come from.
        count: candidates that the selector wants, >= 1.
        size: of the selector's candidates.
        progress: called as ``progress("retrieval", done, total)`` while the pool is decoded.

    Attributes:
        pools: what was seen, by the spans that were asked for.
    """

    def __init__(
        self, retriever: Retriever, video: OpenVideo, count: int, size: Size, progress: Progress | None = None
    ) -> None:
        self.retriever, self.video, self.count, self.size = retriever, video, count, size
        self._progress = progress
        self.pools: dict[tuple[Span, ...], Pool] = {}

    def look(
        self, query: str, within: Sequence[Span] = (), named: Callable[[], Sequence[Span]] = tuple
    ) -> Looked | None:
        """The candidates of a query, most of them inside its windows; None: spread them evenly.

        Args:
            query: what is looked for.
            within: spans, seconds, outside of which nothing is looked at; none: the whole video.
            named: gives parts of these that are windows in any case, since words name them: apart, in time order.

        Raises:
            VideoError, SelectorError: decoding or scoring fails.
        """
        spans = list(within) or [(0.0, self.video.duration)]
        stride = length(spans) / self.count
        is_long = stride > LONG_STRIDE and length(spans) > LONG
        if self.retriever.name is None or (self.retriever.is_automatic and not is_long):
            return None
        seconds = (self.count - round(self.count * OUTSIDE)) * CLOSE
        if seconds >= length(spans):
            return None  # the windows would be all of it
        scorer = self._find_scorer()
        if scorer is None:
            return None
        start, before = perf_counter(), self.video.frames_decoded
        pool = self._take_pool(scorer, tuple(spans))
        scores, calls = self._score(scorer, pool, query)
        windows, frames = self._choose(pool, scores, spans, seconds, list(named()))
        text = (
            f"{self.retriever.name} proposed {len(windows)} windows, {length(windows):.0f} s of {length(spans):.0f} s"
        )
        count = sum(any(low <= frame.timestamp < high for low, high in windows) for frame in frames)
        note = Note(
            "retrieved", f"{text}, by {len(pool.times)} frames; {count} of {len(frames)} candidates lie in them"
        )
        decoded, spent = self.video.frames_decoded - before, {"retrieval": perf_counter() - start}
        cost = Cost(decoded, model_calls=calls, seconds=spent)
        return Looked(frames, pool.scenes, rank_windows(windows, scores, pool.times), (note,), cost)

    def _find_scorer(self) -> Any:
        try:
            return self.retriever.find_scorer()
        except SelectorError:
            if self.retriever.is_automatic:
                return None  # it is the selector's wish only
            raise

    def _take_pool(self, scorer: object, spans: tuple[Span, ...]) -> Pool:
        if spans not in self.pools:
            self.pools[spans] = take_pool(
                self.video,
                scorer,
                getattr(scorer, "frame_size", self.size),
                spans,
                least=self.count,
                most=count_pool(spans, self.count),
                progress=for_step(self._progress, "retrieval"),
            )
        return self.pools[spans]

    def _score(self, scorer: Any, pool: Pool, query: str) -> tuple[NDArray[np.floating[Any]], int]:
        """(n,) scores of the pool, and the model calls they took."""
        if pool.rows is not None and isinstance(scorer, FrameEmbedder):
            return scorer.score_embedded(pool.rows, query, scenes=pool.scene_numbers), 1
        score = find_scores(scorer)
        assert score is not None, "a retriever scores frames"
        size = getattr(scorer, "frame_size", self.size)
        together = getattr(scorer, "candidates", BATCH)  # a model sees as many frames at once as it is used to
        parts, batch = [], list[Frame]()
        for frame in stream(self.video, pool.times, size):
            batch.append(frame)
            if len(batch) == together:
                parts.append(_ask(score, batch, query))
                batch = []
        if batch:
            parts.append(_ask(score, batch, query))
        return np.concatenate(parts), len(parts)

    def _choose(
        self, pool: Pool, scores: ArrayLike, spans: Sequence[Span], seconds: float, named: Sequence[Span]
    ) -> tuple[list[Span], Candidates]:
        """The windows, and the candidates: most of them inside.

        Where there are many more I-frames than candidates, the candidates are the I-frames of the windows, which cost a
        decoded picture each; else they are spread evenly over windows of so many seconds.
        """
        times, pooled = self.video.timestamps, pool.times.tolist()
        cheap, most = find_cheap(self.video), self.count - round(self.count * OUTSIDE)
        cheap = cheap[inside(cheap, spans)]
        if len(cheap) < DENSE * self.count:
            windows = choose_windows(scores, pooled, spans, seconds, margin=MARGIN, named=named)
            chosen = list(self.video.candidates(most, self.size, None, windows))
        else:
            windows = choose_stretches(scores, pooled, spans, cheap, most, named=named)
            bare = [start for start, end in named if not inside(cheap, [(start, end)]).any()]
            wanted = np.union1d(thin(cheap, windows, most), bare)
            chosen = list({one.timestamp: one for one in self.video.frames_at(wanted.tolist(), self.size)}.values())
        rest = subtract(spans, windows)
        outside = min(self.count - len(chosen), int(inside(times, rest).sum()))
        if outside:
            chosen += self.video.candidates(outside, self.size, None, rest)
        return windows, self._as_candidates(chosen, windows)

    def _as_candidates(self, chosen: list[Frame], windows: Sequence[Span]) -> Candidates:
        """Frames in any order as candidates, each standing until the next."""
        chosen.sort(key=lambda frame: frame.timestamp)
        ends = [*(frame.timestamp for frame in chosen[1:]), self.video.duration]
        frames = (Frame(f.timestamp, end - f.timestamp, f.image) for f, end in zip(chosen, ends, strict=True))
        return Candidates(frames, self.video.duration, windows=windows)


def _ask(score: Scores, batch: Sequence[Frame], query: str) -> NDArray[np.float64]:
    begin, end = batch[0].timestamp, batch[-1].end  # a video of its own: models know times of minutes, not hours
    shown = [Frame(frame.timestamp - begin, frame.duration, frame.image) for frame in batch]
    return np.asarray(score(Candidates(shown, end - begin), query), np.float64)


def count_pool(spans: Sequence[Span], count: int, stride: float = STRIDE) -> int:
    """The most frames of a pool: one in so many seconds, at least as many as the selector sees, at most 4,096."""
    return min(MOST, max(count, round(length(spans) / stride)))
