"""The run behind ``kframes eval --data ...``: arguments -> data, selectors, scorer, answerer -> report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from kframes_plugin.types import Selector
from kframes_training.evaluation.data import Data, read
from kframes_training.evaluation.run.answerers import load_answerer
from kframes_training.evaluation.run.loop import ANSWER_SIZE, Loop, Plan
from kframes_training.evaluation.run.report import report_of
from kframes_training.evaluation.run.scorers import Scorer, SimilarityScorer, load_scorer
from kframes_training.evaluation.run.selectors import (
    ORACLE,
    Parsed,
    Wanted,
    all_of,
    cannot_do,
    load,
    needs_scorer,
    parse,
)
from kframes_training.evaluation.run.store import Store


@dataclass(frozen=True)
class Request:
    """The arguments of ``kframes eval``.

    Attributes:
        data: the annotation; ``kind``, ``videos``, ``questions``, ``subtitles`` as for :func:`~..data.read`.
        selectors: names, see selectors.py.
        ks: budgets, each >= 1.
        wanted: how kframes' own selectors are loaded.
        scorer: name of a scorer, or None.
        answerer: name of an answerer, or None: selections alone.
        style: how frames are given to a transformers answerer.
        answer_size: long side of the frames it sees, pixels.
        against: the selector that others are compared with; None: the first uniform one, else the first.
        limit: items at most; None: all.
        seed: of selectors that draw lots.
        cache: folder of what is found.
    """

    data: Path
    cache: Path
    selectors: Sequence[str] = ("kframes", "uniform")
    ks: Sequence[int] = (8, 32, 64)
    kind: str | None = None
    videos: Path | None = None
    questions: Path | None = None
    subtitles: bool = False
    wanted: Wanted = field(default_factory=Wanted)
    scorer: str | None = None
    answerer: str | None = None
    style: Any = "interleaved"
    answer_size: int = ANSWER_SIZE
    against: str | None = None
    limit: int | None = None
    seed: int = 0


def evaluate(request: Request, *, progress: bool = True) -> dict[str, Any]:
    """Run it; the report.

    Raises:
        ValueError: arguments that do not go together, or data that cannot be read.
        SelectorError: a model cannot be loaded or cannot answer.
    """
    ks = sorted(set(request.ks))
    if not ks or ks[0] < 1:
        raise ValueError(f"k must be whole numbers >= 1; got {', '.join(map(str, request.ks)) or 'none'}")
    parsed = parse(request.selectors)
    names = [label for label, *_ in parsed]
    against = request.against or next((label for label, base, *_ in parsed if base.startswith("uniform")), names[0])
    if against not in names:
        raise ValueError(f"--against must be one of the selectors {', '.join(names)}; got {against!r}")
    data = _limited(read(request.data, request.videos, kind=request.kind, questions=request.questions,
                         subtitles=request.subtitles), request.limit)  # fmt: skip
    if not data.present:
        raise ValueError(_nothing(data, request))
    if any(base == ORACLE for _, base, *_ in parsed) and not any(item.evidence for item in data.present):
        raise ValueError(f"oracle needs true spans or points, and no item of {request.data.name} has any; leave it out")
    own = load(parsed, request.wanted)
    scorer = _scorer(request, parsed, {str(one.settings["model"]): one.kframes.selector for one in own.values()})
    contestants = all_of(parsed, own, scorer, request.seed)
    answerer = None
    if request.answerer:
        answerer = load_answerer(request.answerer, style=request.style, device=request.wanted.device)
    store = Store(request.cache)
    try:
        plan = Plan(data.present, contestants, ks, scorer, answerer, request.answer_size)
        outcome = Loop(plan, store).run(progress=progress)
    finally:
        store.close()
    asked: dict[str, Any] = json.loads(json.dumps(asdict(request), default=str))
    asked.pop("cache")
    asked["contestants"] = {one.name: one.settings for one in contestants}
    asked["scorer_settings"] = scorer.settings if scorer else None
    asked["answerer_settings"] = answerer.settings if answerer else None
    return report_of(outcome, data, asked, names, ks, against)


def _scorer(request: Request, parsed: Parsed, known: Mapping[str, Selector]) -> Scorer | None:
    reading = needs_scorer(parsed)
    if not reading:
        return None
    if request.scorer is None:
        raise ValueError(f"{', '.join(reading)} read scores of frames: name a --scorer, as openclip:ARCH/WEIGHTS, nano, or a "
                         ".jsonl file of scores")  # fmt: skip
    scorer = load_scorer(
        request.scorer, candidates=request.wanted.candidates, device=request.wanted.device, known=known
    )
    if lacking := cannot_do(parsed, isinstance(scorer, SimilarityScorer)):
        raise ValueError(f"{', '.join(lacking)} need features of the frames, which {request.scorer} does not have; use an "
                         "openclip: scorer, or leave them out")  # fmt: skip
    return scorer


def _limited(data: Data, limit: int | None) -> Data:
    return data if limit is None else replace(data, items=data.items[:limit])


def _nothing(data: Data, request: Request) -> str:
    if not data.items:
        return f"{request.data} was read as {data.kind}, and no item of it is usable: {'; '.join(data.odd[:3]) or 'it is empty'}"
    return (f"none of the {len(data.missing)} videos of {request.data} is there; the first was looked for at {data.missing[0]}: "
            "name their folder with --videos")  # fmt: skip
