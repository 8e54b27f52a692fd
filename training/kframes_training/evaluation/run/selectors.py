"""Names -> selectors: kframes itself, uniform sampling, and the published selectors over scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from kframes_plugin import __version__
from kframes_plugin.clips import snapping
from kframes_plugin.clips.allocation import allocate
from kframes_plugin.kframes import KFrames
from kframes_plugin.types import Clip, Cost
from kframes_training.evaluation.baselines import BASELINES, BLIND, WITH_FEATURES
from kframes_training.evaluation.baselines.oracle import oracle
from kframes_training.evaluation.data import Item
from kframes_training.evaluation.run.look import Look
from kframes_training.evaluation.run.scorers import Scored, digest

KFRAMES, SCENES, ORACLE = "kframes", "scenes", "oracle"
ALIASES = {"uniform": "uniform_midpoint", "topk": "top_k", "q_frame": "qframe"}
FAITHFUL = "@faithful"
POINT = 0.001  # seconds that a true point lasts, for the oracle
BLINKS = (*BLIND, ORACLE)  # they choose among all frames of the video, as kframes does, and not among candidates

Chosen = dict[str, list[float]]  # k -> timestamps, seconds
Parsed = Sequence[tuple[str, str, str | None, bool]]  # as named, selector, model or None, faithful


@dataclass(frozen=True)
class Found:
    """What a selector made of one query.

    Attributes:
        frames: k (as text) -> timestamps, seconds, as the selector gave them.
        clips: of kframes; none for others.
        notes: what was out of the ordinary.
        cost: of finding, for all k together.
    """

    frames: Chosen
    clips: Sequence[Clip] = ()
    notes: Sequence[str] = ()
    cost: Cost = field(default_factory=Cost)

    def to_row(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"frames": self.frames, "clips": [asdict(clip) for clip in self.clips], "notes": list(self.notes),
                "cost": asdict(self.cost)}  # fmt: skip


class Contestant(Protocol):
    """One selector of a run. ``settings``: all that its frames depend on; ``scores``: whether it reads a scorer's."""

    name: str
    settings: dict[str, Any]
    scores: bool

    def find(self, look: Look, item: Item, ks: Sequence[int], scored: Scored | None) -> Found: ...


class KFramesContestant:
    """A selector of kframes: its clips once, then its allocation for every k, as :meth:`KFrames.select` does it."""

    scores = False

    def __init__(self, name: str, kframes: KFrames, model: str, prediction: str | None = None) -> None:
        self.name = name
        self.kframes = kframes
        self.settings = {"model": model, "weights": digest(model), "prediction": prediction, "version": __version__,
                         "candidates": kframes.candidates, "size": kframes.candidate_size,
                         "strategy": kframes.sampling.strategy, "cuts": kframes.snap_to_cuts,
                         "allocation": asdict(kframes.sampling.allocation)}  # fmt: skip

    def find(self, look: Look, item: Item, ks: Sequence[int], scored: Scored | None) -> Found:
        """SelectorError where it cannot answer."""
        kframes, video = self.kframes, look.video
        pool = look.pool(kframes.candidates, kframes.candidate_size)
        pool.frames.cache.pop(snapping.CACHE, None)  # what other queries looked at: this one's cost is its own
        told = kframes.find(pool.frames, item.query, video)
        frames = {
            str(k): allocate(told, k, video.timestamps, video.duration, strategy=kframes.sampling.strategy,
                             scenes=pool.scenes, settings=kframes.sampling.allocation)
            for k in ks
        }  # fmt: skip
        # the pool's cost counts the candidates too; all selectors have one step
        spent = replace(told.cost, candidates=0, seconds={"select": sum(told.cost.seconds.values())})
        return Found(frames, tuple(told), [str(note) for note in told.notes], pool.cost + spent)


@dataclass
class BaselineContestant:
    """A selector of ``baselines``: over scores, or (uniform, oracle) over all frames of the video."""

    name: str
    method: Callable[..., list[int]]
    faithful: bool
    scores: bool
    seed: int
    scorer: Mapping[str, Any] | None
    settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.settings = {"baseline": self.name, "seed": self.seed, "scorer": self.scorer}

    def find(self, look: Look, item: Item, ks: Sequence[int], scored: Scored | None) -> Found:
        """A faithful method may fail where the original does: then a note, and no frames."""
        pool = scored or Scored(np.asarray(look.video.timestamps, np.float64), np.zeros(len(look.video.timestamps)))
        truth = [*item.spans, *((point, point + POINT) for point in item.points)]
        start, frames = perf_counter(), {}
        notes = ["no truth is told, so frames are uniform"] if self.method is oracle and not truth else []
        for k in ks:
            try:
                chosen = self.method(pool.scores, pool.times, k, duration=look.video.duration, features=pool.features,
                                     query=pool.query, seed=self.seed, faithful=self.faithful, truth=truth)  # fmt: skip
            except (ValueError, IndexError, ZeroDivisionError, ArithmeticError) as error:
                if not self.faithful:
                    raise
                chosen = []
                notes.append(f"k = {k}: the original fails here ({type(error).__name__}: {error})")
            frames[str(k)] = [float(pool.times[index]) for index in chosen]
        if scored is not None and (more := [k for k in ks if k >= len(pool.times)]):
            notes.append(f"all {len(pool.times)} candidates are taken for k = {', '.join(map(str, more))}")
        return Found(frames, (), notes, pool.cost + Cost(seconds={"select": perf_counter() - start}))


@dataclass(frozen=True)
class Wanted:
    """How selectors are to be loaded: the arguments of ``kframes eval`` that concern them."""

    model: str = "nano"
    prediction: Any = None
    strategy: Any = "auto"
    candidates: int | None = None
    device: str | None = None


def parse(names: Iterable[str]) -> Parsed:
    """(as named, selector, model or None, faithful) of names as "aks", "aks@faithful", "mine=PATH_OR_ID".

    Raises:
        ValueError: no name, one that is not known, or one that comes twice.
    """
    found: list[tuple[str, str, str | None, bool]] = []
    known = (KFRAMES, SCENES, *ALIASES, *BASELINES)
    for name in filter(None, map(str.strip, names)):
        label, equals, model = name.partition("=")
        base = label.removesuffix(FAITHFUL).replace("-", "_")
        base = ALIASES.get(base, base)
        faithful = label.endswith(FAITHFUL)
        if equals and model:
            found.append((label, KFRAMES, model, False))
        elif base in (KFRAMES, SCENES) and not faithful:
            found.append((label, base, None, False))
        elif base in BASELINES:
            found.append((label, base, None, faithful))
        else:
            raise ValueError(f"no selector {name!r}; known are {', '.join(known)}, each of the published ones also as "
                             f"NAME{FAITHFUL}, and NAME=MODEL for any model of KFrames.from_pretrained")  # fmt: skip
    labels = [label for label, *_ in found]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"--selectors needs at least one name, each once; got {', '.join(labels) or 'none'}")
    return found


def needs_scorer(parsed: Parsed) -> list[str]:
    """The names that read scores."""
    return [label for label, base, _, _ in parsed if base in BASELINES and base not in BLINKS]


def load(parsed: Parsed, wanted: Wanted) -> dict[str, KFramesContestant]:
    """kframes' own selectors among the parsed names.

    Raises:
        SelectorError, ValueError: one cannot be loaded.
    """
    found = {}
    for label, base, model, _ in parsed:
        if base in (KFRAMES, SCENES):
            name = SCENES if base == SCENES else model or wanted.model
            prediction = wanted.prediction if base == KFRAMES and model is None else None
            kframes = KFrames.from_pretrained(name, device=wanted.device, prediction=prediction, strategy=wanted.strategy,
                                              candidates=wanted.candidates)  # fmt: skip
            found[label] = KFramesContestant(label, kframes, name, prediction)
    return found


def all_of(parsed: Parsed, own: Mapping[str, KFramesContestant], scorer: Any, seed: int = 0) -> list[Contestant]:
    """All selectors of parsed names, in their order.

    Args:
        parsed: from :func:`parse`.
        own: from :func:`load`.
        scorer: of the selectors over scores, or None where there are none.
        seed: of selectors that draw lots.
    """
    found: list[Contestant] = []
    for label, base, _, faithful in parsed:
        if label in own:
            found.append(own[label])
            continue
        reads = base not in BLINKS
        found.append(
            BaselineContestant(label, BASELINES[base], faithful, reads, seed, scorer.settings if reads else None)
        )
    return found


def cannot_do(parsed: Parsed, has_features: bool) -> list[str]:
    """The names that need features of the frames, where the scorer has none."""
    return [] if has_features else [label for label, base, _, _ in parsed if base in WITH_FEATURES]
