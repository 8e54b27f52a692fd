"""Scores of candidate frames, for the selectors over scores: an open_clip model, a model's prediction, or given ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from kframes_plugin.selectors.load import NANO, load_selector
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.selectors.similarity import SimilaritySelector
from kframes_plugin.types import Candidates, Cost, PredictionKind, Selector
from kframes_training.evaluation.baselines.common import Floats, unit_rows
from kframes_training.evaluation.data import Item
from kframes_training.evaluation.resuming import digest_of
from kframes_training.evaluation.run.look import Look


@dataclass(frozen=True)
class Scored:
    """Candidates with their scores.

    Attributes:
        times: (T,) seconds, rising.
        scores: (T,), higher is better.
        features: (T, d) of unit norm, or None where the scorer has none.
        query: (d,) of unit norm, or None.
        cost: of decoding and scoring them.
    """

    times: Floats
    scores: Floats
    features: Floats | None = None
    query: Floats | None = None
    cost: Cost = field(default_factory=Cost)


class Scorer(Protocol):
    """Scores the candidates of a video for an item's query. ``settings``: all that its scores depend on."""

    settings: dict[str, Any]

    def __call__(self, look: Look, item: Item) -> Scored: ...


class ModelScorer:
    """The probability that a frame matters, read from a multimodal model in one pass (``prediction="scores"``)."""

    def __init__(self, selector: MLLMSelector, name: str, candidates: int | None) -> None:
        self.selector = selector
        self.candidates = candidates or selector.candidates
        self.settings = {"scorer": name, "weights": digest(name), "candidates": self.candidates,
                         "size": selector.frame_size}  # fmt: skip

    def __call__(self, look: Look, item: Item) -> Scored:
        """No features: the model reads all frames together."""
        pool = look.pool(self.candidates, self.selector.frame_size)
        start = perf_counter()
        scores = self.selector.frame_scores(pool.frames, item.query)
        cost = Cost(model_calls=1, seconds={"score": perf_counter() - start})
        return Scored(_times(pool.frames), scores, cost=pool.cost + cost)


class SimilarityScorer:
    """Cosines of pictures and query, with both embeddings; the pictures of a pool are embedded once."""

    def __init__(self, selector: SimilaritySelector, name: str, candidates: int | None) -> None:
        self.selector = selector
        self.candidates = candidates or selector.candidates
        self.settings = {"scorer": name, "weights": digest(name), "candidates": self.candidates,
                         "size": selector.frame_size}  # fmt: skip

    def __call__(self, look: Look, item: Item) -> Scored:
        """Features and query are of unit norm."""
        selector, pool = self.selector, look.pool(self.candidates, self.selector.frame_size)
        features, paid = self._features(pool.frames)
        start = perf_counter()
        text = np.asarray(selector.embed_text(selector.template.replace("{}", item.query)))
        query = unit_rows(text.reshape(1, -1))[0]
        cost = Cost(model_calls=1, seconds={"score": perf_counter() - start})
        return Scored(_times(pool.frames), features @ query, features, query, pool.cost + paid + cost)

    def _features(self, frames: Candidates) -> tuple[Floats, Cost]:
        """(T, d) of unit norm, and what they cost when they were made."""
        if self not in frames.cache:
            start, step = perf_counter(), self.selector.batch_size
            pictures = [frame.image for frame in frames]
            parts = [self.selector.embed_images(pictures[at : at + step]) for at in range(0, len(pictures), step)]
            features = unit_rows(np.concatenate([np.asarray(part) for part in parts]))
            frames.cache[self] = features, Cost(model_calls=len(parts), seconds={"score": perf_counter() - start})
        kept: tuple[Floats, Cost] = frames.cache[self]
        return kept


class GivenScores:
    """Scores from a JSON Lines file: rows with ``id`` (or ``video`` and ``query``), ``times`` and ``scores``.

    Raises:
        ValueError: a row that is none, or times that do not rise.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.settings = {"scorer": "given", "file": key_of_file(file)}
        self._rows: dict[Any, tuple[Floats, Floats]] = {}
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                self._add(f"{file.name}, line {number}", json.loads(line))

    def _add(self, place: str, row: dict[str, Any]) -> None:
        times, scores = (np.asarray(row.get(name, ()), np.float64) for name in ("times", "scores"))
        if not len(times) or times.shape != scores.shape or times.ndim != 1 or (np.diff(times) <= 0).any():
            raise ValueError(f"{place}: times and scores must be as many, at least one, and times must rise")
        if "id" in row:
            self._rows[str(row["id"])] = times, scores
        elif "video" in row and "query" in row:
            self._rows[Path(row["video"]).stem, row["query"]] = times, scores
        else:
            raise ValueError(f'{place}: a row needs "id", or "video" and "query"')

    def __call__(self, look: Look, item: Item) -> Scored:
        """Of the item's id, or of its video and query; ValueError where there are none."""
        found = self._rows.get(item.id) or self._rows.get((item.video.stem, item.query))
        if found is None:
            raise ValueError(f"{self.file} has no scores for item {item.id} ({item.video.name}: {item.query})")
        times, scores = found
        inside = times < look.video.duration
        return Scored(times[inside], scores[inside], cost=Cost(candidates=int(inside.sum())))


def load_scorer(
    name: str,
    *,
    candidates: int | None = None,
    device: str | None = None,
    known: Mapping[str, Selector] | None = None,
) -> Scorer:
    """The scorer of a name.

    Args:
        name: "openclip:ARCH/WEIGHTS"; a file of given scores (.jsonl); or "nano", a directory or a transformers id
            (its prediction of frames).
        candidates: T; None: what the scorer asks for.
        device: as for :meth:`KFrames.from_pretrained`.
        known: selectors that are loaded already, by name: a large model is not loaded twice.

    Raises:
        SelectorError: it cannot be loaded.
        ValueError: a file that holds no scores, or a selector that has none to give.
    """
    if name.endswith(".jsonl"):
        if not Path(name).is_file():
            raise ValueError(f"there is no file of scores {name}; check the path")
        return GivenScores(Path(name))
    selector = (known or {}).get(name)
    if selector is None:
        prediction: PredictionKind | None = None if name.startswith("openclip:") else "scores"
        selector = load_selector(name, device=device, prediction=prediction)
    if isinstance(selector, SimilaritySelector):
        return SimilarityScorer(selector, name, candidates)
    if isinstance(selector, MLLMSelector):
        return ModelScorer(selector, name, candidates)
    raise ValueError(f"{name!r} gives no scores of frames; use openclip:ARCH/WEIGHTS, nano, a model, or a .jsonl file")


def digest(name: str) -> str | None:
    """Of the weights behind a name, where they lie in a folder here."""
    folder = NANO if name == "nano" else Path(name.removeprefix("openclip:"))
    return digest_of(str(folder)) if folder.is_dir() else None


def key_of_file(file: Path) -> list[Any]:
    """Name, size and time of a file: what its contents depend on, without reading them."""
    known = file.stat()
    return [file.name, known.st_size, known.st_mtime_ns]


def _times(frames: Candidates) -> Floats:
    return np.array([frame.timestamp for frame in frames], np.float64)
