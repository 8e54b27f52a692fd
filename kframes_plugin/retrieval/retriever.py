"""Which retriever a KFrames has, and when it is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kframes_plugin.errors import SelectorError
from kframes_plugin.scorers import is_scorer
from kframes_plugin.types import FrameEmbedder

LONG_STRIDE, LONG = 4.0, 600.0  # seconds between candidates, and of video, above which it is used by itself
OWN = "scores"  # the selector's own scores


@dataclass
class Retriever:
    """What names windows for a selector, loaded on first use.

    Attributes:
        wanted: "auto", None, "scores", a selector's name, or an object: what :class:`KFrames` was given.
        selector: whose candidates are to be chosen.
        load: name -> selector.
    """

    wanted: Any
    selector: Any
    load: Callable[[str], Any]
    _scorer: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not (self.wanted is None or isinstance(self.wanted, str) or is_scorer(self.wanted)):
            raise TypeError(
                'retriever must be "auto", None, a name, or an object with scores(frames, query) or embed(frames) and '
                f"score_embedded(rows, query, scenes=...); got {type(self.wanted).__name__}"
            )

    @property
    def is_automatic(self) -> bool:
        """Whether it is the selector's wish, which holds for long videos, and not the user's."""
        return bool(self.wanted == "auto")

    @property
    def name(self) -> str | None:
        """What it is called in descriptions; None: there is none."""
        named = getattr(self.selector, "retriever", None) if self.is_automatic else self.wanted
        return named if named is None or isinstance(named, str) else getattr(named, "name", type(named).__name__)

    def find_scorer(self) -> Any:
        """The scorer, or None where there is none.

        Raises:
            SelectorError: it cannot be loaded, or gives no scores.
        """
        if self._scorer is None and self.name is not None:
            self._scorer = self._load()
        return self._scorer

    def __getstate__(self) -> dict[str, Any]:
        """All but the selector, which its KFrames pickles once and puts back."""
        return {**self.__dict__, "selector": None, "_scorer": None}

    def find_embedder(self) -> FrameEmbedder:
        """What embeds frames for :meth:`KFrames.search`: the selector, else the retriever, else lite.

        Raises:
            SelectorError: it cannot be loaded.
        """
        for able in (self.selector, self.find_scorer()):
            if isinstance(able, FrameEmbedder):
                return able
        lite: FrameEmbedder = self.load("lite")
        return lite

    def _load(self) -> Any:
        wanted = self.name if self.is_automatic else self.wanted
        if not isinstance(wanted, str):
            return wanted
        scorer = self.selector if wanted == OWN else self.load(wanted)
        if not is_scorer(scorer):
            raise SelectorError(
                f'{wanted!r} gives no scores of frames, so it cannot be a retriever; use "lite", an open_clip model, '
                "or None"
            )
        return scorer
