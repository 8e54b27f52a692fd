"""How well pictures go with texts: any callable ``(frames, texts) -> (n, m) scores`` with an ``id``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kframes_plugin.types import Candidates, Frame


class Similarity(Protocol):
    """``id`` names all that decides the scores. Higher is more alike; any scale (see Refinement.low and high)."""

    id: str

    def __call__(self, frames: Sequence[Frame], texts: Sequence[str], /) -> NDArray[np.float64]:
        """(frames, texts) scores."""


class OpenCLIPSimilarity:
    """Cosines of any model of open_clip; the name as in ``SimilaritySelector.from_pretrained``."""

    def __init__(self, name: str, *, device: str | None = None, batch_size: int = 32) -> None:
        from kframes_plugin.selectors.similarity import OpenCLIP

        self.id, self.batch_size = f"openclip:{name}", batch_size
        self.model = OpenCLIP(name, device, "auto")

    def __call__(self, frames: Sequence[Frame], texts: Sequence[str], /) -> NDArray[np.float64]:
        """(frames, texts) cosines, -1 to 1."""
        images = [frame.image for frame in frames]
        starts = range(0, len(images), self.batch_size)
        seen = np.concatenate([self.model.embed_images(images[start : start + self.batch_size]) for start in starts])
        told = np.stack([self.model.embed_text(text) for text in texts])
        cosines: NDArray[np.float64] = _units(seen) @ _units(told).T
        return cosines


def _units(rows: ArrayLike) -> NDArray[np.float64]:
    """(n, d) rows of length 1; a row of zeros stays."""
    values = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    units: NDArray[np.float64] = values / np.where(lengths > 0, lengths, 1.0)
    return units


class ModelSimilarity:
    """Scores of a multimodal model trained to score frames (``prediction="scores"``), such as nano: 0 to 1.

    It sees the frames of a call together, with their times.
    """

    def __init__(self, name: str, *, device: str | None = None) -> None:
        from kframes_plugin.selectors.load import load_selector
        from kframes_plugin.selectors.mllm import MLLMSelector

        self.id = f"frames:{name}"
        selector = load_selector(name, device=device, prediction="scores")
        if not isinstance(selector, MLLMSelector):
            raise ValueError(
                f"similarity frames:{name} needs a multimodal model that scores frames, such as frames:nano"
            )
        self.selector = selector

    def __call__(self, frames: Sequence[Frame], texts: Sequence[str], /) -> NDArray[np.float64]:
        """(frames, texts) scores, 0 to 1; 0 for a text with a word that the model does not know."""
        from kframes_plugin.mllm.vocabulary import refusal

        size = self.selector.frame_size
        pair = size if isinstance(size, tuple) else (size, size)
        shown = [Frame(frame.timestamp, frame.duration, frame.image.resize(pair)) for frame in frames]
        seen = Candidates(shown, shown[-1].end)
        words = self.selector.settings.vocabulary
        known = [words is None or not refusal(text, words) for text in texts]
        none = np.zeros(len(frames))
        columns = [
            self.selector.frame_scores(seen, text) if ok else none for text, ok in zip(texts, known, strict=True)
        ]
        return np.stack(columns, axis=1)


def similarity_by_name(name: str, device: str | None = None) -> Similarity | None:
    """ "none"; "openclip:ARCH/WEIGHTS"; "frames:nano" or "frames:DIRECTORY".

    Raises:
        ValueError: another name.
        SelectorError: it cannot be loaded.
    """
    if name == "none":
        return None
    kind, _, rest = name.partition(":")
    if kind == "openclip" and rest:
        return OpenCLIPSimilarity(rest, device=device)
    if kind == "frames" and rest:
        return ModelSimilarity(rest, device=device)
    raise ValueError(f"similarity must be none, openclip:ARCH/WEIGHTS or frames:MODEL; got {name!r}")
