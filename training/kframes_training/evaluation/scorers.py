"""Scores of candidate frames, for the selectors over scores: an open_clip model, a model's prediction, or a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from kframes_plugin.selectors.lite import LiteSelector
from kframes_plugin.selectors.load import load_selector
from kframes_plugin.selectors.mllm import MLLMSelector
from kframes_plugin.selectors.similarity import SimilaritySelector
from kframes_plugin.types import Candidates, Cost, PredictionKind, Selector
from kframes_training.evaluation.baselines.common import Floats, unit_rows
from kframes_training.evaluation.candidates import MeasuredVideo, Size
from kframes_training.evaluation.store import ArrayStore, describe_file, digest_weights, make_key
from kframes_training.sources.datasets import Item

COUNTS = ("frames_decoded", "candidates", "model_calls")


@dataclass(frozen=True)
class FrameScores:
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

    def to_arrays(self) -> dict[str, Any]:
        """All of it as arrays that :meth:`from_arrays` reads."""
        arrays: dict[str, Any] = {"times": self.times, "scores": self.scores}
        arrays |= {name: value for name in ("features", "query") if (value := getattr(self, name)) is not None}
        arrays["counts"] = np.array([getattr(self.cost, name) for name in COUNTS])
        steps = self.cost.seconds
        return arrays | {"steps": np.array(list(steps)), "seconds": np.array(list(steps.values()))}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, Any]) -> FrameScores:
        """What :meth:`to_arrays` made."""
        seconds = dict(zip(kept["steps"].tolist(), kept["seconds"].tolist(), strict=True))
        counts = dict(zip(COUNTS, map(int, kept["counts"]), strict=True))
        cost = Cost(**counts, seconds=seconds)
        return cls(kept["times"], kept["scores"], kept.get("features"), kept.get("query"), cost)


class Scorer(Protocol):
    """Scores the candidates of a video for the queries of some items.

    Attributes:
        settings: all that its scores depend on, plain JSON values.
        size: of the candidates that it reads, pixels.
        has_features: whether it gives features of the frames.
    """

    settings: dict[str, Any]
    size: Size
    has_features: bool

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]: ...


class ModelScorer:
    """The probability that a frame matters, read from a multimodal model in one pass. It gives no features."""

    has_features = False

    def __init__(self, selector: MLLMSelector, name: str, candidates: int | None = None) -> None:
        self.selector = selector
        self.candidates = selector.candidates if candidates is None else candidates
        self.size: Size = selector.frame_size
        self.settings: dict[str, Any] = {
            "scorer": name,
            "weights": digest_weights(name),
            "size": self.size,
            "candidates": self.candidates,
        }

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]:
        """All queries together; a query's seconds are its share."""
        pool, start = video.pool(self.candidates, self.size), perf_counter()
        scores = self.selector.frame_scores_all(pool.frames, [item.query for item in items])
        cost = pool.cost + Cost(model_calls=1, seconds={"score": (perf_counter() - start) / max(1, len(items))})
        return [FrameScores(pool.times, row, cost=cost) for row in scores]


class SimilarityScorer:
    """Cosines of pictures and query, with both embeddings; the pictures of a pool are embedded once."""

    has_features = True

    def __init__(self, selector: SimilaritySelector, name: str, candidates: int | None = None) -> None:
        self.selector = selector
        self.candidates = selector.candidates if candidates is None else candidates
        self.size: Size = selector.frame_size
        self.settings: dict[str, Any] = {
            "scorer": name,
            "weights": digest_weights(name),
            "size": self.size,
            "candidates": self.candidates,
        }

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]:
        """Features and query are of unit norm."""
        selector, pool = self.selector, video.pool(self.candidates, self.size)
        features, paid = self._embed(pool.frames)
        found = []
        for item in items:
            start = perf_counter()
            text = np.asarray(selector.embed_text(selector.template.replace("{}", item.query)))
            query = unit_rows(text.reshape(1, -1))[0]
            cost = Cost(model_calls=1, seconds={"score": perf_counter() - start})
            found.append(FrameScores(pool.times, features @ query, features, query, pool.cost + paid + cost))
        return found

    def _embed(self, frames: Candidates) -> tuple[Floats, Cost]:
        """(T, d) of unit norm, and what they cost when they were made."""
        if self not in frames.cache:
            start, step = perf_counter(), self.selector.batch_size
            pictures = [frame.image for frame in frames]
            parts = [self.selector.embed_images(pictures[at : at + step]) for at in range(0, len(pictures), step)]
            features = unit_rows(np.concatenate([np.asarray(part) for part in parts]))
            frames.cache[self] = features, Cost(model_calls=len(parts), seconds={"score": perf_counter() - start})
        kept: tuple[Floats, Cost] = frames.cache[self]
        return kept


class LiteScorer:
    """What the bundled lite makes of frames and query: its scores, and the features of the frames."""

    has_features = True

    def __init__(self, selector: LiteSelector, candidates: int | None = None) -> None:
        self.selector = selector
        self.candidates = selector.candidates if candidates is None else candidates
        self.size: Size = selector.frame_size
        self.settings: dict[str, Any] = {"scorer": "lite", "size": self.size, "candidates": self.candidates}

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]:
        """All queries together; a query's seconds are its share. Features are of unit norm."""
        pool, start = video.pool(self.candidates, self.size), perf_counter()
        scores = self.selector.scores_all(pool.frames, [item.query for item in items])
        features = unit_rows(np.asarray(self.selector.features(pool.frames), np.float64))
        cost = pool.cost + Cost(model_calls=1, seconds={"score": (perf_counter() - start) / max(1, len(items))})
        return [FrameScores(pool.times, np.asarray(row, np.float64), features, cost=cost) for row in scores]


class GivenScores:
    """Scores from a JSON Lines file: rows with ``id`` (or ``video`` and ``query``), ``times`` and ``scores``.

    Raises:
        ValueError: a row that is none, or times that do not rise.
    """

    has_features = False
    size: Size = 64

    def __init__(self, file: Path) -> None:
        self.file = file
        self.settings: dict[str, Any] = {"scorer": "given", "file": describe_file(file)}
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

    def score_all(self, video: MeasuredVideo, items: Sequence[Item]) -> list[FrameScores]:
        """Of each item's id, or of its video and query; ValueError where there are none."""
        return [self._score(video, item) for item in items]

    def _score(self, video: MeasuredVideo, item: Item) -> FrameScores:
        kept = self._rows.get(item.id, self._rows.get((item.video.stem, item.query)))
        if kept is None:
            raise ValueError(f"{self.file} has no scores for item {item.id} ({item.video.name}: {item.query})")
        times, scores = kept
        inside = times < video.video.duration
        return FrameScores(times[inside], scores[inside], cost=Cost(candidates=int(inside.sum())))


def score_items(
    scorer: Scorer, video: MeasuredVideo, items: Sequence[Item], identity: Sequence[Any], kept: ArrayStore
) -> list[FrameScores]:
    """The scores of items, from the store where they are there already.

    Args:
        scorer: asked for what is not there.
        video: of all the items.
        items: the queries.
        identity: of the video file.
        kept: where arrays are kept.
    """
    keys = [make_key("scores", identity, item.query, item.id, scorer.settings) for item in items]
    found = {key: FrameScores.from_arrays(arrays) for key in keys if (arrays := kept.get(key)) is not None}
    missing = [(key, item) for key, item in zip(keys, items, strict=True) if key not in found]
    if missing:
        scored = scorer.score_all(video, [item for _, item in missing])
        for (key, _), one in zip(missing, scored, strict=True):
            kept.add(key, one.to_arrays())
            found[key] = one
    return [found[key] for key in keys]


def load_scorer(
    name: str,
    *,
    candidates: int | None = None,
    device: str | None = None,
    known: Mapping[str, Selector] | None = None,
) -> Scorer:
    """The scorer of a name.

    Args:
        name: "lite"; "openclip:ARCH/WEIGHTS"; "st:ORG/MODEL"; a file of given scores (.jsonl); or "nano", a directory
            or a transformers id (its prediction of frames).
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
        prediction: PredictionKind | None = (
            None if name == "lite" or name.startswith(("openclip:", "st:")) else "scores"
        )
        selector = load_selector(name, device=device, prediction=prediction)
    if isinstance(selector, LiteSelector):
        return LiteScorer(selector, candidates)
    if isinstance(selector, SimilaritySelector):
        return SimilarityScorer(selector, name, candidates)
    if isinstance(selector, MLLMSelector):
        return ModelScorer(selector, name, candidates)
    raise ValueError(
        f"{name!r} gives no scores of frames; use lite, openclip:ARCH/WEIGHTS, st:ORG/MODEL, nano, a model, or a "
        ".jsonl file"
    )
