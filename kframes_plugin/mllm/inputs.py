"""Messages -> what a model of transformers takes, keeping of one video's frames all that no query changes.

Between two queries on one :class:`Candidates` neither the processor nor the vision tower looks at the frames again:
only text is tokenised, and only the language model runs. What comes out is the same.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import BatchFeature

from kframes_plugin.prompt import Messages
from kframes_plugin.types import Candidates, Frame


@dataclass
class Seen:
    """What is kept of one video's frames: what the image processor made of them, and the tower's features."""

    pixels: BatchFeature | None = None
    features: Any = None


class ModelInputs:
    """Turns messages into the inputs of a model.

    Args:
        model: an image-text-to-text model of transformers.
        processor: its processor.
        image_options: for its image processor; see :func:`small_frames`.
    """

    def __init__(self, model: Any, processor: Any, image_options: dict[str, Any]) -> None:
        self.model = model
        self.processor = processor
        self.image_options = image_options
        encode = getattr(model.base_model, "get_image_features", None)
        takes_features = "mm_encoder_outputs" in inspect.signature(model.forward).parameters
        self._encode = encode if takes_features else None

    def __call__(self, frames: Sequence[Frame], messages: Messages) -> dict[str, Any]:
        """Token ids (1, length), pixels or vision features, masks and token types, on the model's device."""
        seen = frames.cache.setdefault(self, Seen()) if isinstance(frames, Candidates) else Seen()
        inputs = self._process(messages, seen)
        if seen.features is not None:
            inputs.pop("pixel_values")
        kwargs = dict(inputs.to(self.model.device, dtype=self.model.dtype))
        if isinstance(frames, Candidates) and self._encode is not None and seen.features is None:
            wanted = inspect.signature(self._encode).parameters
            with torch.inference_mode():
                seen.features = self._encode(**{k: kwargs[k] for k in wanted if k in kwargs}, return_dict=True)
            kwargs.pop("pixel_values")
            seen.pixels = _without_memory(seen.pixels)
        return kwargs if seen.features is None else {**kwargs, "mm_encoder_outputs": {"image": seen.features}}

    def _process(self, messages: Messages, seen: Seen) -> BatchFeature:
        """All that the processor makes of the messages; it sees the pictures at most once."""
        processor = copy.copy(self.processor)  # a shallow one, whose image processor remembers
        processor.image_processor = _Remembering(self.processor.image_processor, seen)
        inputs: BatchFeature = processor.apply_chat_template(
            messages,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"images_kwargs": self.image_options},
        )
        return inputs


class _Remembering:
    """An image processor that looks at its pictures once; every other attribute is the true one's."""

    def __init__(self, image_processor: Any, seen: Seen) -> None:
        self._image_processor = image_processor
        self._seen = seen

    def __call__(self, *args: Any, **kwargs: Any) -> BatchFeature:
        if self._seen.pixels is None:
            self._seen.pixels = self._image_processor(*args, **kwargs)
        return BatchFeature(dict(self._seen.pixels))  # a copy: processors take out what the model does not need

    def __getattr__(self, name: str) -> Any:
        return getattr(self._image_processor, name)


def _without_memory(pixels: BatchFeature | None) -> BatchFeature | None:
    """The same shapes, for processors that read them, without the pictures: 200 MB for 256 frames of 224 pixels."""
    if pixels is not None and isinstance(values := pixels.get("pixel_values"), torch.Tensor):
        pixels["pixel_values"] = values.new_zeros(()).expand(values.shape)
    return pixels


def small_frames(image_processor: Any) -> dict[str, Any]:
    """Options that keep an image processor from enlarging small frames (Qwen3-VL: to 65,536 pixels) or cutting them up.

    One frame of a video needs few tokens; a processor's defaults are for single photos.
    """
    size = getattr(image_processor, "size", None) or {}
    options: dict[str, Any] = {}
    merge, patch = getattr(image_processor, "merge_size", None), getattr(image_processor, "patch_size", None)
    if isinstance(merge, int) and isinstance(patch, int) and {"shortest_edge", "longest_edge"} <= set(dict(size)):
        # the Qwen family: both "edges" are pixel areas
        options["size"] = {"shortest_edge": (merge * patch) ** 2, "longest_edge": size["longest_edge"]}
    if hasattr(image_processor, "do_image_splitting"):
        options["do_image_splitting"] = False
    return options


def without_control_tokens(processor: Any, text: str) -> str:
    """Break up control tokens: an image mark in a query would ask for an image that is not there."""
    for token in (*processor.tokenizer.all_special_tokens, getattr(processor, "image_token", "")):
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
