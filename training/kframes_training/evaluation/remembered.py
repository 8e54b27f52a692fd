"""A selector that remembers its answers, so that several lines of a table ask a model once."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from kframes_plugin.types import Candidates, Clip, Frame, Selector


class Remembered:
    """A selector that answers every query on the same candidates once, all new queries together.

    Args:
        selector: any selector; one with ``predict_all(frames, queries)`` is asked through it.
    """

    def __init__(self, selector: Selector) -> None:
        self.selector = selector

    def __call__(self, frames: Sequence[Frame], query: str, /) -> list[Clip]:
        """The clips of one query."""
        return self.predict_all(frames, [query])[0]

    def predict_all(self, frames: Sequence[Frame], queries: Sequence[str]) -> list[list[Clip]]:
        """The clips of every query."""
        kept = self._keep(frames)
        missing = [query for query in dict.fromkeys(queries) if query not in kept]
        if missing:
            start, together = perf_counter(), getattr(self.selector, "predict_all", None)
            found = together(frames, missing) if together else [self.selector(frames, query) for query in missing]
            seconds = (perf_counter() - start) / len(missing)
            kept.update({query: (clips, seconds) for query, clips in zip(missing, found, strict=True)})
        return [kept[query][0] for query in queries]

    def seconds(self, frames: Candidates, query: str) -> float:
        """What a query took, its share where several were asked together."""
        return self._keep(frames)[query][1]

    def _keep(self, frames: Sequence[Frame]) -> dict[str, tuple[list[Clip], float]]:
        cache: dict[object, Any] = frames.cache if isinstance(frames, Candidates) else {}
        kept: dict[str, tuple[list[Clip], float]] = cache.setdefault(self, {})
        return kept
