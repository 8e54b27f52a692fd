"""The part of a prompt that shows the frames, read once: its keys and values serve every query that stands after it.

A fresh query and a further one take the same two steps, the frames and then the query, so both give the same numbers.
"""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, DynamicCache
from transformers.cache_utils import DynamicLayer

from kframes_plugin.types import Candidates

log = logging.getLogger("kframes")
NAMES = ("cache", "past_key_values")  # of the argument that takes keys and values: transformers 5.2x renamed it


@dataclass(frozen=True)
class Prefix:
    """What a model keeps of the frames' part of a prompt.

    Attributes:
        ids: (1, n) its tokens.
        layers: keys and values of every layer, (1, heads, n, head size) each.
        rope_deltas: (1, 1) what text positions after it are moved by, where the model has such (M-RoPE); else None.
    """

    ids: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]
    rope_deltas: Tensor | None


class PrefixKeeper:
    """Reads the frames' part of prompts, and keeps that of one video at a time, for as long as its candidates live.

    Attributes:
        obstacle: why this model cannot have a part of its prompt read ahead; "" where it can.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.obstacle = find_obstacle(model)
        self._frames: weakref.ref[Candidates] | None = None
        self._kept: Prefix | None = None
        if self.obstacle:
            log.debug("%s reads every prompt from its start: %s", type(model).__name__, self.obstacle)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_frames": None, "_kept": None}

    @property
    def kept_bytes(self) -> int:
        """Bytes of the keys and values that are kept."""
        layers = self._kept.layers if self._kept is not None else ()
        return sum(tensor.numel() * tensor.element_size() for layer in layers for tensor in layer)

    def forget(self) -> None:
        """Keep nothing."""
        self._frames = self._kept = None

    def split(self, prompt: BatchFeature) -> int:
        """Where the part of a prompt after its last picture begins, tokens; 0 where the model has an obstacle."""
        if self.obstacle:
            return 0
        ids = prompt["input_ids"][0]
        pictures = torch.isin(ids, torch.tensor(picture_tokens(self.model.config))).nonzero()
        return int(pictures[-1]) + 1 if len(pictures) else 0

    def extend(
        self, frames: Candidates, prompts: Sequence[BatchFeature], start: int, place: Callable[[BatchFeature], Any]
    ) -> dict[str, Any]:
        """The inputs of prompts whose first ``start`` tokens the model has read.

        Args:
            frames: what they show.
            prompts: what the processor made of them.
            start: as :meth:`split` says, > 0.
            place: makes the model's inputs of the frames' part, once a video.

        Returns:
            Token ids and attention mask (n, length), where padding stands between the frames and the queries, and keys
            and values of the frames. The model's ``rope_deltas`` are set for them, so they must be used next.
        """
        ids = prompts[0]["input_ids"][:, :start]
        kept = self._find(frames, ids)
        if kept is None:
            self.forget()  # room for the next
            kept = self._kept = self._read(ids, place(cut(prompts[0], start)))
            self._frames = weakref.ref(frames, self._drop)
        if kept.rope_deltas is not None:
            self.model.base_model.rope_deltas = kept.rope_deltas
        device, count = self.model.device, len(prompts)
        tails = [prompt["input_ids"][:, start:] for prompt in prompts]
        longest = max(tail.shape[1] for tail in tails)
        gaps = [longest - tail.shape[1] for tail in tails]
        padded = [torch.nn.functional.pad(tail, (gap, 0)) for tail, gap in zip(tails, gaps, strict=True)]
        inputs = torch.cat([ids.expand(count, -1), torch.cat(padded)], dim=1).to(device)
        mask = torch.ones_like(inputs)
        for row, gap in zip(mask, gaps, strict=True):
            row[start : start + gap] = 0
        return {"input_ids": inputs, "attention_mask": mask, cache_name(self.model): self._cache(kept, count)}

    def _find(self, frames: Candidates, ids: Tensor) -> Prefix | None:
        mine = self._frames is not None and self._frames() is frames
        return self._kept if mine and self._kept is not None and torch.equal(self._kept.ids, ids) else None

    def _drop(self, gone: weakref.ref[Candidates]) -> None:
        if self._frames is gone:
            self.forget()

    def _read(self, ids: Tensor, inputs: Mapping[str, Any]) -> Prefix:
        cache = DynamicCache(config=self.model.config)
        with torch.inference_mode():
            self.model.base_model(**inputs, use_cache=True, **{cache_name(self.model): cache})
        layers = tuple((layer.keys, layer.values) for layer in cache.layers)
        return Prefix(ids, layers, getattr(self.model.base_model, "rope_deltas", None))

    def _cache(self, kept: Prefix, count: int) -> DynamicCache:
        """Keys and values of the frames for ``count`` prompts; a copy, which the model may make longer."""
        cache = DynamicCache(config=self.model.config)
        for number, (keys, values) in enumerate(kept.layers):
            cache.update(*(part.expand(count, -1, -1, -1) for part in (keys, values)), number)
        return cache


def find_obstacle(model: Any) -> str:
    """Why a model cannot have a part of its prompt read ahead; "" where it can.

    What is kept must not depend on what comes after, and must be kept whole: every layer full, causal attention.
    """
    if not any(name in inspect.signature(model.forward).parameters for name in NAMES):
        return "it takes no keys and values"
    if "token_type_ids" in inspect.signature(model.forward).parameters:  # PaliGemma, Gemma 3
        return "its attention may look ahead"
    if not picture_tokens(model.config):
        return "its config does not say which token is an image's"
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if other := sorted(kind.__name__ for kind in kinds - {DynamicLayer}):
        return f"not all of its layers keep every token ({', '.join(other)})"
    return ""


def cache_name(model: Any) -> str:
    """The name of the argument by which a model takes keys and values."""
    parameters = inspect.signature(model.forward).parameters
    return next(name for name in NAMES if name in parameters)


def picture_tokens(config: Any) -> list[int]:
    """The ids of the tokens that stand for a piece of an image or of a video, where the config names them."""
    names = [f"{kind}_token_{end}" for kind in ("image", "video") for end in ("id", "index")]
    return [token for name in names if isinstance(token := getattr(config, name, None), int)]


def cut(inputs: BatchFeature, end: int) -> BatchFeature:
    """The inputs of a prompt's first ``end`` tokens: what has a value a token is cut, all else stays."""
    shape = inputs["input_ids"].shape
    return BatchFeature(
        {
            name: value[:, :end] if isinstance(value, Tensor) and value.shape == shape else value
            for name, value in inputs.items()
        }
    )
