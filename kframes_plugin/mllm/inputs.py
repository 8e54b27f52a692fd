"""Messages -> what a model of transformers takes, keeping of one video's frames all that no query changes.

Between two queries on one :class:`Candidates` neither the processor nor the vision tower looks at the frames again.
Where the query stands last, the language model does not read their part of the prompt again either (``prefix.py``).
What comes out is the same. Frames come as images or as native video, whichever the checkpoint reads.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import BatchFeature

from kframes_plugin.mllm.prefix import PrefixKeeper
from kframes_plugin.prompt import Messages, PromptFormat, frame_content, write_mark
from kframes_plugin.prompt.styles import Written, show_candidates, style_of
from kframes_plugin.types import Candidates


@dataclass
class FrameMemory:
    """What is kept of one video's frames: what the image processor made of them, and the tower's features."""

    pixels: BatchFeature | None = None
    features: Any = None


@dataclass(frozen=True)
class _Kind:
    """What transformers calls the parts of one kind of pictures."""

    pixels: str
    encode: str
    processor: str


_KINDS = {
    "images": _Kind("pixel_values", "get_image_features", "image_processor"),
    "video": _Kind("pixel_values_videos", "get_video_features", "video_processor"),
}


class ModelInputs:
    """Turns messages into the inputs of a model.

    Args:
        model: an image-text-to-text model of transformers.
        processor: its processor.
        options: for its image or video processor; see :func:`small_frames`.
        kind: what the messages show: "images" or "video".
    """

    def __init__(
        self, model: Any, processor: Any, options: dict[str, Any], kind: Literal["images", "video"] = "images"
    ) -> None:
        self.model = model
        self.processor = processor
        self.options = options
        self.kind = kind
        encode = getattr(model.base_model, _KINDS[kind].encode, None)
        takes_features = "mm_encoder_outputs" in inspect.signature(model.forward).parameters
        self._encode = encode if takes_features else None
        pad = processor.tokenizer.pad_token_id
        self._pad = pad if pad is not None else 0  # the attention mask leaves it out, whatever it is
        self.prefix = PrefixKeeper(model)

    @property
    def takes_batches(self) -> bool:
        """Whether several prompts on the same frames can go through the model together: it takes vision features."""
        return self._encode is not None

    def show(self, frames: Candidates, fmt: PromptFormat) -> Written:
        """The candidates as chat content, and the metadata of the videos in it; none for images."""
        if self.kind == "images":
            return frame_content(frames, fmt), []
        return show_candidates(frames, frames.duration, style_of(self.processor), lambda time: write_mark(0, time, fmt))

    def read(
        self, frames: Candidates, prompts: Sequence[Messages], videos: Sequence[dict[str, Any]] = ()
    ) -> list[BatchFeature]:
        """What the processor makes of prompts that all show these frames.

        Args:
            frames: the candidates.
            prompts: messages that show them all.
            videos: the metadata of the videos in a prompt, in their order; none for images.
        """
        memory = frames.cache.setdefault(self, FrameMemory())
        return [self._process(messages, videos, memory) for messages in prompts]

    def place(self, frames: Candidates, parts: Sequence[BatchFeature], *, query_last: bool) -> dict[str, Any]:
        """Make the model's inputs, on its device.

        Args:
            frames: the candidates.
            parts: what :meth:`read` made of n prompts on them.
            query_last: whether nothing before or between the frames depends on the query. Their part of the prompt is
                then read once a video, where the model allows it.

        Returns:
            Token ids and attention mask (n, length), padded so that all prompts end together; and the keys and values
            of the frames, or token types and pixels or vision features of n times the frames.
        """
        memory = frames.cache.setdefault(self, FrameMemory())
        if memory.features is None and self._encode is not None:
            self._see(self._encode, parts[0], memory)
        start = self.prefix.split(parts[0]) if query_last else 0
        if start:
            return self.prefix.extend(frames, parts, start, lambda part: self._whole([part], memory))
        return self._whole(parts, memory)

    def _whole(self, parts: Sequence[BatchFeature], memory: FrameMemory) -> dict[str, Any]:
        """The inputs of prompts that are read from their start."""
        if memory.features is not None:
            for part in parts:
                part.pop(_KINDS[self.kind].pixels, None)
        inputs = self._placed(_joined(parts, self._pad) if len(parts) > 1 else parts[0])
        if memory.features is None:
            return inputs
        features = _repeated(memory.features, len(parts)) if len(parts) > 1 else memory.features
        return {**inputs, "mm_encoder_outputs": {"image" if self.kind == "images" else "video": features}}

    def _see(self, encode: Any, inputs: BatchFeature, memory: FrameMemory) -> None:
        """Let the vision tower look at the frames, and keep its features instead of the pictures."""
        placed = self._placed(inputs)
        wanted = inspect.signature(encode).parameters
        with torch.inference_mode():
            memory.features = encode(**{k: placed[k] for k in wanted if k in placed}, return_dict=True)
        memory.pixels = _without_memory(memory.pixels, _KINDS[self.kind].pixels)

    def _placed(self, inputs: BatchFeature) -> dict[str, Any]:
        return dict(BatchFeature(dict(inputs)).to(self.model.device, dtype=self.model.dtype))

    def _process(self, messages: Messages, videos: Sequence[dict[str, Any]], memory: FrameMemory) -> BatchFeature:
        """All that the processor makes of the messages; it sees the pictures at most once."""
        processor, name = copy.copy(self.processor), _KINDS[self.kind].processor
        setattr(processor, name, _Remembering(getattr(self.processor, name), memory))  # of the copy alone
        own = {**self.options, **made_on(self.model.device, getattr(self.processor, name))}
        options: dict[str, Any] = {"images_kwargs": own}
        if self.kind == "video":
            processor.chat_template = _without_double_marks(processor)
            metadata = [dict(video) for video in videos]
            options = {"videos_kwargs": own, "do_sample_frames": False, "video_metadata": metadata}
        inputs: BatchFeature = processor.apply_chat_template(
            messages,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=options,
        )
        return inputs


def _without_double_marks(processor: Any) -> Any:
    """The chat template; Qwen3-VL's without the marks around a video, since its processor writes them for every pair.

    transformers 4.57, with which its checkpoints were trained, took the template's marks out; 5.23 leaves them in.
    """
    template = processor.chat_template
    if type(processor).__name__ != "Qwen3VLProcessor" or not isinstance(template, str):
        return template
    start, video, end = processor.vision_start_token, processor.video_token, processor.vision_end_token
    return template.replace(f"{start}{video}{end}", video)


class _Remembering:
    """An image or video processor that looks at its pictures once; every other attribute is the true one's."""

    def __init__(self, true: Any, memory: FrameMemory) -> None:
        self._true = true
        self._memory = memory

    def __call__(self, *args: Any, **kwargs: Any) -> BatchFeature:
        if self._memory.pixels is None:
            self._memory.pixels = self._true(*args, **kwargs)
        return BatchFeature(dict(self._memory.pixels))  # a copy: processors take out what the model does not need

    def __getattr__(self, name: str) -> Any:
        return getattr(self._true, name)


def _joined(prompts: Sequence[BatchFeature], pad: int) -> BatchFeature:
    """The inputs of several prompts as one: what has a value a token is padded in front, all else is put end to end."""
    lengths = [inputs["input_ids"].shape for inputs in prompts]
    longest = max(length for _, length in lengths)
    joined = {}
    for name, value in prompts[0].items():
        if not isinstance(value, torch.Tensor):
            joined[name] = value
            continue
        fill = pad if name == "input_ids" else 0
        parts = [inputs[name] for inputs in prompts]
        if value.shape == lengths[0]:
            parts = [torch.nn.functional.pad(part, (longest - part.shape[1], 0), value=fill) for part in parts]
        joined[name] = torch.cat(parts)
    return BatchFeature(joined)


def _repeated(features: Any, count: int) -> Any:
    """The features of the frames, once for every prompt: [a, b] -> [a, b, a, b]."""

    def repeat(value: Any) -> Any:
        return torch.cat([value] * count) if isinstance(value, torch.Tensor) else list(value) * count

    changed = {"pooler_output": repeat(features.pooler_output)}
    if (deep := getattr(features, "deepstack_features", None)) is not None:  # of several layers of the tower
        changed["deepstack_features"] = [repeat(layer) for layer in deep]
    return replace(features, **changed)


def _without_memory(pixels: BatchFeature | None, name: str) -> BatchFeature | None:
    """The same shapes, for processors that read them, without the pictures: 200 MB for 256 frames of 224 pixels."""
    if pixels is not None and isinstance(values := pixels.get(name), torch.Tensor):
        pixels[name] = values.new_zeros(()).expand(values.shape)
    return pixels


def made_on(device: torch.device, pictures: Any) -> dict[str, Any]:
    """Options by which an image or video processor takes pictures to a device as bytes, a quarter of what floats take,
    and scales and normalises them there; none for a CPU, or for a processor that works with numpy.
    """
    kinds = {kind.__name__ for kind in type(pictures).__mro__}
    on_torch = kinds & {"TorchvisionBackend", "BaseImageProcessorFast", "BaseVideoProcessor"}  # the second: 5.0
    return {"device": str(device)} if on_torch and device.type != "cpu" else {}


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


def whole_frames(video_processor: Any) -> dict[str, Any]:
    """Options that keep a video processor from enlarging or shrinking frames, but for rounding to whole patches.

    The size of the candidates has been chosen already. A processor's defaults share a budget over a video: Qwen3-VL's
    would make 448 frames of 64 tokens smaller.
    """
    size = dict(getattr(video_processor, "size", None) or {})
    options: dict[str, Any] = {}
    if {"shortest_edge", "longest_edge"} <= set(size) and hasattr(video_processor, "temporal_patch_size"):
        options["size"] = {"shortest_edge": 1, "longest_edge": 2**40}  # the Qwen and GLM families: pixels in all
    if hasattr(video_processor, "cap_pixels_per_frame"):
        options["cap_pixels_per_frame"] = False
    return options


def without_control_tokens(processor: Any, text: str) -> str:
    """Break up control tokens: an image mark in a query would ask for an image that is not there."""
    for token in (*processor.tokenizer.all_special_tokens, getattr(processor, "image_token", "")):
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
