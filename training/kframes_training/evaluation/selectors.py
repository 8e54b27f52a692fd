"""Selectors by name, each asked in the same way: candidates and queries in; clips and frames for every k out.

All of them are compared on the same T candidates, in two ways (``POOLS``):

* ``candidates``: only the T candidate frames may be taken, and clips end at candidates.
* ``free``: any frame may be taken. Ends of clips move to cuts, as kframes does it. Candidates that a selector over
  scores chose become clips (neighbours joined), which are treated alike: ends on cuts, k frames spread inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from random import Random
from time import perf_counter
from typing import Any, Literal, Protocol

import numpy as np

from kframes_plugin import __version__
from kframes_plugin.clips.allocation import allocate
from kframes_plugin.clips.geometry import candidate_edges
from kframes_plugin.clips.snapping import snap_to_cuts
from kframes_plugin.keyframes import choose_times
from kframes_plugin.kframes import KFrames
from kframes_plugin.prompt import PromptFormat, parse_clips, write_clips
from kframes_plugin.types import Candidates, Clip, Cost, Prediction, Selector
from kframes_training.evaluation.baselines import BLIND
from kframes_training.evaluation.candidates import CandidatePool, MeasuredVideo, Size
from kframes_training.evaluation.remembered import Remembered
from kframes_training.evaluation.scorers import FrameScores
from kframes_training.sources.datasets import Item

Pool = Literal["candidates", "free"]
POOLS: tuple[Pool, ...] = ("candidates", "free")
POINT = 0.001  # seconds that a true point lasts, for the oracle
BY_INDEX = PromptFormat(time_format="index")


@dataclass(frozen=True)
class Choice:
    """What a selector chose for one query.

    Attributes:
        frames: pool -> k (as text) -> timestamps, seconds, as the selector gave them.
        clips: pool -> clips, best first; None for a selector that names none.
        notes: what was out of the ordinary.
        cost: as if the query were asked alone, for all k together.
    """

    frames: Mapping[str, Mapping[str, list[float]]]
    clips: Mapping[str, Sequence[Clip]] | None = None
    notes: Sequence[str] = ()
    cost: Cost = field(default_factory=Cost)

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        clips = None if self.clips is None else {pool: [asdict(c) for c in some] for pool, some in self.clips.items()}
        return {"frames": self.frames, "clips": clips, "notes": list(self.notes), "cost": asdict(self.cost)}


class NamedSelector(Protocol):
    """A selector under its name in the tables.

    Attributes:
        name: of its lines.
        settings: all that its frames depend on, plain JSON values.
        reads_scores: whether it is given a scorer's scores.
        reads_truth: whether it looks at the true spans.
    """

    name: str
    settings: dict[str, Any]
    reads_scores: bool
    reads_truth: bool

    def choose(
        self, video: MeasuredVideo, items: Sequence[Item], ks: Sequence[int], scores: Sequence[FrameScores]
    ) -> list[Choice]: ...


class ClipSelector:
    """A selector that names clips: kframes' own, or any callable (frames, query) -> clips.

    Args:
        name: of its lines.
        kframes: the selector with its T, sizes and strategy.
        settings: what tells the selector from others: its model, digest of its weights ...
    """

    reads_scores = False
    reads_truth = False

    def __init__(self, name: str, kframes: KFrames, settings: Mapping[str, Any]) -> None:
        memory = kframes.selector if isinstance(kframes.selector, Remembered) else Remembered(kframes.selector)
        self.name, self.memory, self.kframes = name, memory, _with_selector(kframes, memory, kframes.snap_to_cuts)
        self._at_candidates = _with_selector(kframes, memory, False)
        allocation = json_values(asdict(kframes.sampling.allocation))
        self.settings: dict[str, Any] = {
            **settings,
            "version": __version__,
            "candidates": kframes.candidates,
            "size": kframes.candidate_size,
            "strategy": kframes.sampling.strategy,
            "cuts": kframes.snap_to_cuts,
            "allocation": allocation,
        }

    def choose(
        self, video: MeasuredVideo, items: Sequence[Item], ks: Sequence[int], scores: Sequence[FrameScores] = ()
    ) -> list[Choice]:
        """All queries together; the frames are those of :meth:`KFrames.select` (pool "free")."""
        pool, queries = video.pool(self.kframes.candidates, self.kframes.candidate_size), [item.query for item in items]
        self.memory.predict_all(pool.frames, queries)
        free = self.kframes.find_all(pool.frames, queries, video.video)
        bound = self._at_candidates.find_all(pool.frames, queries, video.video)
        return [
            self._spend(video, pool, ks, {"free": one, "candidates": other}, self.memory.seconds(pool.frames, query))
            for one, other, query in zip(free, bound, queries, strict=True)
        ]

    def _spend(
        self, video: MeasuredVideo, pool: CandidatePool, ks: Sequence[int], found: Mapping[str, Prediction], took: float
    ) -> Choice:
        told, sampling = found["free"], self.kframes.sampling
        opened, scenes = video.video, pool.scenes

        def spend(name: str, clips: Prediction, k: int) -> list[float]:
            nearest = clips.nearest
            if name == "free":  # as KFrames.select takes them
                return choose_times(opened, clips, k, sampling, nearest=nearest, scenes=scenes)[0]
            strategy, settings = sampling.strategy, sampling.allocation
            return allocate(
                *(clips, k, pool.times, opened.duration),
                strategy=strategy,
                nearest=nearest,
                scenes=scenes,
                settings=settings,
            )

        frames = {name: {str(k): spend(name, clips, k) for k in ks} for name, clips in found.items()}
        seconds = {"select": took, "snapping": told.cost.seconds.get("snapping", 0.0)}
        spent = replace(told.cost, candidates=0, seconds=seconds)  # the pool's cost counts the candidates
        return Choice(frames, found, [str(note) for note in told.notes], pool.cost + spent)


TruthfulClips = Callable[[Item, Candidates, Random], list[Clip]]  # (item, candidates, lots) -> clips


class TruthSelector(ClipSelector):
    """A selector that is told the truth: the oracle, or random clips as long as the true ones.

    Args:
        name: of its lines.
        make: the clips of an item.
        candidates, size: T, and the size of the candidates.
        seed: of what draws lots.
    """

    reads_truth = True

    def __init__(self, name: str, make: TruthfulClips, candidates: int, size: Size, seed: int = 0) -> None:
        kframes = KFrames(lambda frames, query: [], candidates=candidates, candidate_size=size, strategy="focused")
        super().__init__(name, kframes, {"truth": name, "seed": seed})
        self._make, self._seed = make, seed

    def choose(
        self, video: MeasuredVideo, items: Sequence[Item], ks: Sequence[int], scores: Sequence[FrameScores] = ()
    ) -> list[Choice]:
        """Pool "candidates": the clips as a selector that sees only the candidates can name them."""
        pool, choices = video.pool(self.kframes.candidates, self.kframes.candidate_size), []
        for item in items:
            made = self._make(item, pool.frames, Random(f"{self.name} {self._seed} {item.id}"))
            clips = [replace(c, end=min(c.end, video.video.duration)) for c in made if c.start < video.video.duration]
            found = {"free": Prediction(clips), "candidates": Prediction(end_at_candidates(clips, pool.frames))}
            choices.append(self._spend(video, pool, ks, found, 0.0))
        return choices


def true_clips(item: Item, frames: Candidates, lots: Random) -> list[Clip]:
    """The true spans (points as very short ones): the ceiling."""
    return [Clip(start, end) for start, end in (*item.spans, *((point, point + POINT) for point in item.points))]


def random_clips(item: Item, frames: Candidates, lots: Random) -> list[Clip]:
    """As many clips as there are true ones, as long, anywhere: what knowing number and length is worth."""
    lengths = [clip.length for clip in true_clips(item, frames, lots)]
    starts = [lots.uniform(0.0, max(frames.duration - length, 0.0)) for length in lengths]
    return [Clip(start, min(start + length, frames.duration)) for start, length in zip(starts, lengths, strict=True)]


def end_at_candidates(clips: Sequence[Clip], frames: Candidates) -> list[Clip]:
    """Clips as a selector that sees only the candidates can write them."""
    times = [frame.timestamp for frame in frames]
    text = write_clips(list(clips), frames.duration, fmt=BY_INDEX, times=times)
    return list(parse_clips(text, frames.duration, fmt=BY_INDEX, times=times))


@dataclass
class ScoreSelector:
    """A selector of ``baselines``: over a scorer's scores, or (uniform) over the candidates' places alone.

    Args:
        name: of its lines.
        method: a function of ``baselines``.
        base: the method's name there.
        faithful: with the original's faults.
        seed: of methods that draw lots.
        candidates, size: T and size of the pool.
        scorer: the scorer's settings, None for methods that read no scores.
    """

    name: str
    method: Callable[..., list[int]]
    base: str
    faithful: bool
    seed: int
    candidates: int
    size: Size
    scorer: Mapping[str, Any] | None = None
    reads_truth: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.reads_scores = self.base not in BLIND
        self.settings: dict[str, Any] = {
            "baseline": self.base,
            "faithful": self.faithful,
            "seed": self.seed,
            "scorer": self.scorer,
            "candidates": self.candidates,
            "size": self.size,
        }

    def choose(
        self, video: MeasuredVideo, items: Sequence[Item], ks: Sequence[int], scores: Sequence[FrameScores]
    ) -> list[Choice]:
        """A faithful method may fail where the original does: then a note, and no frames."""
        pool = video.pool(self.candidates, self.size)
        if self.reads_scores:
            return [self._choose(video, pool, ks, one) for one in scores]
        every = np.asarray(video.video.timestamps, np.float64)
        start, frames = perf_counter(), {}
        for name, times in (("candidates", pool.times), ("free", every)):
            given = FrameScores(times, np.zeros(len(times)))
            frames[name] = {str(k): [float(times[i]) for i in self._indices(given, k, video, [])] for k in ks}
        cost = Cost(seconds={"select": perf_counter() - start})
        return [Choice(frames, cost=cost)] * len(items)

    def _choose(self, video: MeasuredVideo, pool: CandidatePool, ks: Sequence[int], given: FrameScores) -> Choice:
        notes: list[str] = []
        start = perf_counter()
        chosen = {k: self._indices(given, k, video, notes) for k in ks}
        took, start = perf_counter() - start, perf_counter()
        free = {str(k): self._spread(video, pool, given, indices) for k, indices in chosen.items()}
        if more := [k for k in ks if k >= len(given.times)]:
            notes.append(f"all {len(given.times)} candidates are taken for k = {', '.join(map(str, more))}")
        bound = {str(k): [float(given.times[i]) for i in indices] for k, indices in chosen.items()}
        cost = given.cost + Cost(seconds={"select": took, "snapping": perf_counter() - start})
        return Choice({"candidates": bound, "free": free}, notes=notes, cost=cost)

    def _indices(self, given: FrameScores, k: int, video: MeasuredVideo, notes: list[str]) -> list[int]:
        try:
            return self.method(
                given.scores,
                given.times,
                k,
                duration=video.video.duration,
                features=given.features,
                query=given.query,
                seed=self.seed,
                faithful=self.faithful,
            )
        except (ValueError, IndexError, ZeroDivisionError, ArithmeticError) as error:
            if not self.faithful:
                raise
            notes.append(f"k = {k}: the original fails here ({type(error).__name__}: {error})")
            return []

    def _spread(
        self, video: MeasuredVideo, pool: CandidatePool, given: FrameScores, indices: Sequence[int]
    ) -> list[float]:
        """As many frames as were chosen, anywhere in the clips that the chosen candidates stand for."""
        clips = join_chosen(indices, given.times.tolist(), video.video.duration)
        if not clips or self.faithful:  # the faults of an original stay as they are
            return [float(given.times[i]) for i in indices]
        if len(given.times) == len(pool.frames):
            clips = snap_to_cuts(clips, pool.frames, video.video, size=self.size)
        return allocate(clips, len(indices), video.video.timestamps, video.video.duration, strategy="focused")


def join_chosen(indices: Sequence[int], times: Sequence[float], duration: float) -> list[Clip]:
    """What chosen candidates stand for, neighbours joined."""
    edges, clips = candidate_edges(times, duration), list[Clip]()
    for index in sorted(set(indices)):
        if clips and clips[-1].end == edges[index]:
            clips[-1] = replace(clips[-1], end=edges[index + 1])
        else:
            clips.append(Clip(edges[index], edges[index + 1]))
    return clips


def _with_selector(kframes: KFrames, selector: Selector, snap: bool) -> KFrames:
    sampling = kframes.sampling
    return KFrames(
        selector,
        candidates=kframes.candidates,
        strategy=sampling.strategy,
        allocation=sampling.allocation,
        candidate_size=kframes.candidate_size,
        snap_to_cuts=snap,
    )


def json_values(value: Any) -> Any:
    """Plain JSON values of mappings with other keys."""
    if isinstance(value, Mapping):
        return {str(name): json_values(one) for name, one in value.items()}
    return value
