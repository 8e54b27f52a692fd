"""Names -> plan: kframes' selectors, selectors of the user's own, published ones, the oracle; scorer and answerer."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kframes_plugin.kframes import CANDIDATES, KFrames
from kframes_plugin.types import PredictionKind, Selector, Strategy
from kframes_training.evaluation.answerers import load_answerer
from kframes_training.evaluation.baselines import BASELINES, BLIND, WITH_FEATURES
from kframes_training.evaluation.candidates import Size
from kframes_training.evaluation.loop import ANSWER_SIZE, Plan
from kframes_training.evaluation.remembered import Remembered
from kframes_training.evaluation.scorers import Scorer, load_scorer
from kframes_training.evaluation.selectors import (
    ClipSelector,
    NamedSelector,
    ScoreSelector,
    TruthSelector,
    random_clips,
    true_clips,
)
from kframes_training.evaluation.store import describe_file, digest_weights

KFRAMES = "kframes"
BY_NAME = ("uniform", "scenes")  # of KFrames.from_pretrained: they need no model
TRUTHFUL = {"oracle": true_clips, "random": random_clips}
ALIASES = {"topk": "top_k", "q_frame": "qframe"}
FAITHFUL = "@faithful"
SIZE: Size = 64  # of the candidates where no model says, pixels


@dataclass(frozen=True)
class SelectorName:
    """One entry of --selectors.

    Attributes:
        label: its name in the tables.
        base: "kframes", "uniform", "scenes", "oracle", "random", or a name of ``baselines``.
        source: a model, or FILE.py:NAME or MODULE:NAME; None for the others.
        faithful: with the original's faults.
    """

    label: str
    base: str
    source: str | None = None
    faithful: bool = False

    @property
    def reads_scores(self) -> bool:
        """Whether it needs a scorer."""
        return self.base in BASELINES and self.base not in (*BLIND, "oracle")


@dataclass(frozen=True)
class Setup:
    """What a plan is loaded from; plain values, so that worker processes can load it too.

    Attributes:
        selectors: names, see :func:`parse_selectors`.
        ks: budgets, each >= 1.
        model: of the selector "kframes".
        prediction: of that model: "text", "scores", "both", or None for its own.
        strategy: of all selectors that name clips.
        candidates: T, the same for all; None: what the first model asks for, else 256.
        scorer, answerer: names, or None.
        style, answer_size: how frames are given to the answerer.
        seed: of selectors that draw lots.
        device: of models; None: automatic.
        server: options of models behind a URL, as for :meth:`KFrames.from_pretrained`.
        together: queries asked at once, >= 1.
    """

    selectors: Sequence[str] = ("kframes", "uniform")
    ks: Sequence[int] = (8, 32, 64)
    model: str = "lite"
    prediction: PredictionKind | None = None
    strategy: Strategy = "auto"
    candidates: int | None = None
    scorer: str | None = None
    answerer: str | None = None
    style: Any = "interleaved"
    answer_size: int = ANSWER_SIZE
    seed: int = 0
    device: str | None = None
    server: Mapping[str, Any] = field(default_factory=dict)
    together: int = 32


def parse_selectors(names: Iterable[str]) -> list[SelectorName]:
    """Names such as "aks", "aks@faithful", "mine=MODEL", "mine=./my_selector.py:select", "mine=module:object".

    Raises:
        ValueError: no name, one that is not known, or one that comes twice.
    """
    found = []
    for name in filter(None, map(str.strip, names)):
        label, equals, source = name.partition("=")
        base = label.removesuffix(FAITHFUL).replace("-", "_")
        base = ALIASES.get(base, base)
        faithful = label.endswith(FAITHFUL)
        if equals and source:
            found.append(SelectorName(label, KFRAMES, source))
        elif base in (KFRAMES, *BY_NAME, *TRUTHFUL) and not faithful and not equals:
            found.append(SelectorName(label, base))
        elif base in BASELINES and base != "oracle" and not equals:
            found.append(SelectorName(label, base, None, faithful))
        else:
            known = ", ".join((KFRAMES, *BY_NAME, *TRUTHFUL, *(one for one in BASELINES if one != "oracle")))
            raise ValueError(
                f"no selector {name!r}; known are {known}, each published one also as NAME{FAITHFUL}; "
                "NAME=MODEL for any model of KFrames.from_pretrained; NAME=FILE.py:FUNCTION or "
                "NAME=MODULE:OBJECT for one of your own"
            )
    labels = [one.label for one in found]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"--selectors needs at least one name, each once; got {', '.join(labels) or 'none'}")
    return found


def is_own(source: str) -> bool:
    """Whether FILE.py:NAME or MODULE:NAME is meant, and no model."""
    place, colon, name = source.rpartition(":")
    if not colon or not name.isidentifier() or place in ("openclip", "http", "https"):
        return False
    return place.endswith(".py") or all(part.isidentifier() for part in place.split("."))


def load_own(source: str) -> Selector:
    """A selector of the user's own: a callable (frames, query) -> clips; a class is made without arguments.

    Args:
        source: "FILE.py:NAME" or "MODULE:NAME".

    Raises:
        ValueError: it cannot be imported, has no such name, or is not callable.
    """
    place, _, name = source.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            if spec is None or spec.loader is None or not Path(place).is_file():
                raise ValueError(f"there is no file {place}; give the path as in mine=./my_selector.py:select")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        made = getattr(module, name)
        selector: Selector = made() if isinstance(made, type) else made
    except AttributeError as error:
        raise ValueError(f"{source}: {error}; name a function or an object that {place} defines") from error
    except (ImportError, SyntaxError, TypeError) as error:
        raise ValueError(f"{source} cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(selector):
        raise ValueError(
            f"{source} is a {type(selector).__name__}; a selector is called as selector(frames, query) "
            "and returns a list of kframes_plugin.Clip"
        )
    return selector


def load_plan(setup: Setup) -> Plan:
    """All selectors, the scorer and the answerer of a setup.

    Raises:
        ValueError: names or options that do not go together.
        SelectorError: a model cannot be loaded.
    """
    ks = sorted(set(setup.ks))
    if not ks or ks[0] < 1:
        raise ValueError(f"k must be whole numbers >= 1; got {', '.join(map(str, setup.ks)) or 'none'}")
    names = parse_selectors(setup.selectors)
    if any(one.reads_scores for one in names) and setup.scorer is None:
        reading = ", ".join(one.label for one in names if one.reads_scores)
        raise ValueError(
            f"{reading} read scores of frames: name a --scorer, such as openclip:ARCH/WEIGHTS, nano, or a .jsonl "
            "file of scores"
        )
    models = {one.label: _load_clips(one, setup) for one in names if one.base == KFRAMES}
    known = {str(settings["model"]): kframes.selector for kframes, settings in models.values()}
    scorer = None
    if any(one.reads_scores for one in names) and setup.scorer is not None:
        scorer = load_scorer(setup.scorer, candidates=setup.candidates, device=setup.device, known=known)
        _check_features(names, scorer, setup.scorer)
    count, size = common_pool(setup.candidates, [kframes for kframes, _ in models.values()], scorer)
    loaded = [_load(one, setup, models, scorer, (count, size)) for one in names]
    answerer = None
    if setup.answerer is not None:
        answerer = load_answerer(setup.answerer, style=setup.style, device=setup.device, server=setup.server)
    return Plan(loaded, ks, scorer, answerer, setup.answer_size, together=setup.together)


def common_pool(candidates: int | None, models: Sequence[KFrames], scorer: Scorer | None) -> tuple[int, Size]:
    """T for all selectors, and the size of the candidates for those that have no model.

    Raises:
        ValueError: models that ask for different T, where --candidates does not decide.
    """
    asked = [(one.candidates, one.candidate_size) for one in models if getattr(one.selector, "candidates", None)]
    if scorer is not None and "candidates" in scorer.settings:
        asked.append((int(scorer.settings["candidates"]), scorer.size))
    if candidates is None and len({count for count, _ in asked}) > 1:
        counts = ", ".join(str(count) for count, _ in asked)
        raise ValueError(
            f"all selectors must see the same number of candidates; the models ask for {counts}: "
            "decide with --candidates"
        )
    count, size = asked[0] if asked else (CANDIDATES, SIZE)
    return count if candidates is None else candidates, size


def _load_clips(one: SelectorName, setup: Setup) -> tuple[KFrames, dict[str, Any]]:
    source = setup.model if one.source is None else one.source
    if is_own(source):
        selector, place = load_own(source), source.rpartition(":")[0]
        settings = {"model": source, "file": describe_file(Path(place)) if place.endswith(".py") else None}
        snap = getattr(selector, "snap_to_cuts", True)  # like all others: it saw only the candidates
        return KFrames(selector, strategy=setup.strategy, snap_to_cuts=snap), settings
    prediction = setup.prediction if one.source is None else None
    server = setup.server if source.startswith(("http://", "https://")) else None
    kframes = KFrames.from_pretrained(
        source, device=setup.device, prediction=prediction, server=server, strategy=setup.strategy
    )
    return kframes, {"model": source, "weights": digest_weights(source), "prediction": prediction}


def _load(
    one: SelectorName,
    setup: Setup,
    models: Mapping[str, tuple[KFrames, dict[str, Any]]],
    scorer: Scorer | None,
    pool: tuple[int, Size],
) -> NamedSelector:
    count, size = pool
    if one.label in models:
        kframes, settings = models[one.label]
        own_size = getattr(kframes.selector, "frame_size", None)
        return make_clip_selector(one.label, kframes, settings, count, size if own_size is None else own_size)
    if one.base in BY_NAME:
        kframes = KFrames.from_pretrained(one.base, strategy=setup.strategy)
        return make_clip_selector(one.label, kframes, {"model": one.base}, count, size)
    if one.base in TRUTHFUL:
        return TruthSelector(one.label, TRUTHFUL[one.base], count, size, setup.seed)
    settings_of_scorer = scorer.settings if scorer is not None and one.reads_scores else None
    return ScoreSelector(
        one.label,
        BASELINES[one.base],
        one.base,
        one.faithful,
        setup.seed,
        count,
        scorer.size if scorer is not None and one.reads_scores else size,
        settings_of_scorer,
    )


def make_clip_selector(
    label: str, kframes: KFrames, settings: Mapping[str, Any], candidates: int, size: Size
) -> ClipSelector:
    """A selector that names clips, on T candidates of a size.

    Args:
        label: its name in the tables.
        kframes: with its selector, strategy and whether ends move to cuts.
        settings: what tells it from others.
        candidates: T.
        size: of the candidates: long side or (width, height), pixels.
    """
    selector = kframes.selector if isinstance(kframes.selector, Remembered) else Remembered(kframes.selector)
    made = KFrames(
        selector,
        candidates=candidates,
        candidate_size=size,
        strategy=kframes.sampling.strategy,
        allocation=kframes.sampling.allocation,
        snap_to_cuts=kframes.snap_to_cuts,
    )
    return ClipSelector(label, made, settings)


def _check_features(names: Sequence[SelectorName], scorer: Scorer, name: str) -> None:
    lacking = [one.label for one in names if one.base in WITH_FEATURES]
    if lacking and not scorer.has_features:
        raise ValueError(
            f"{', '.join(lacking)} need features of the frames, which {name} does not have; use an openclip: "
            "scorer, or leave them out"
        )
