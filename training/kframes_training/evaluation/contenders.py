"""Who is compared: the baselines, the checkpoints, and the ablations of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kframes_plugin.types import PREDICTION_KINDS, PredictionKind, Strategy
from kframes_training.evaluation.reference_clips import REFERENCE_CLIPS, SNAPPED

ABLATED_CANDIDATES = (16, 32, 64)
NO_TIMES = "no times in the prompt"
NO_TAGS = "no priority tags"
NO_SNAP = "ends at candidates"


@dataclass(frozen=True)
class Contender:
    """One line of the tables.

    Attributes:
        name: how it is called.
        source: a key of REFERENCE_CLIPS, or the folder of a checkpoint.
        candidates: T.
        times: whether the candidates' time marks stand in the prompt (checkpoints only).
        prediction: whether a checkpoint writes its clips, or they are read from scores of the frames, or both.
        strategy: of allocation.
        tags: whether allocation knows the priorities; else every clip is P1.
        snap: whether ends of clips move to the cuts between candidates, as KFrames has it for every selector that sees
            only candidates.
    """

    name: str
    source: str
    candidates: int
    times: bool = True
    prediction: PredictionKind = "text"
    strategy: Strategy = "auto"
    tags: bool = True
    snap: bool = True

    @property
    def reads(self) -> tuple[str, int, bool, PredictionKind, bool]:
        """What decides its clips: contenders that agree in it share them."""
        return self.source, self.candidates, self.times, self.prediction, self.snap


def main_contenders(
    checkpoints: Mapping[str, str], candidates: int, predictions: Mapping[str, PredictionKind] | None = None
) -> list[Contender]:
    """The baselines and the checkpoints (name -> folder), all on the same T candidates.

    Args:
        checkpoints: name -> folder.
        candidates: T.
        predictions: of the checkpoints, name -> prediction; "text" where none is given.

    Raises:
        ValueError: a checkpoint has the name of a baseline.
    """
    if taken := sorted(set(checkpoints) & set(REFERENCE_CLIPS)):
        raise ValueError(f"a checkpoint cannot be called {taken[0]!r}, that is a baseline; choose another name")
    return [Contender(name, name, candidates, snap=name in SNAPPED) for name in REFERENCE_CLIPS] + [
        Contender(name, folder, candidates, prediction=(predictions or {}).get(name, "text"))
        for name, folder in checkpoints.items()
    ]


def ablations(base: Contender) -> list[Contender]:
    """``base`` with one thing changed at a time; each is named by it."""
    changed = [
        replace(base, name=NO_TIMES, times=False),
        replace(base, name=NO_TAGS, tags=False),
        replace(base, name=NO_SNAP, snap=False),
        replace(base, name="focused", strategy="focused"),
        replace(base, name="hybrid", strategy="hybrid"),
    ]
    changed += [replace(base, name=f"T = {t}", candidates=t) for t in ABLATED_CANDIDATES if t != base.candidates]
    changed += [
        replace(base, name=f"prediction {prediction}", prediction=prediction)
        for prediction in PREDICTION_KINDS
        if prediction != base.prediction
    ]
    return [replace(one, name=f"{base.name}: {one.name}") for one in changed]
