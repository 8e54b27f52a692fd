"""A multimodal LLM reads the candidate frames with their times and writes the key clips.

Any transformers image-text-to-text model with a chat template: a hub id, a local directory, the directory of a PEFT
adapter, or a loaded model and processor. How to load one is in ``loading.py``.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from transformers import GenerationConfig

from kframes_plugin.checkpoint import CheckpointSettings
from kframes_plugin.errors import SelectorError
from kframes_plugin.loading import load
from kframes_plugin.prompt import build_messages, duration_of, parse_clips
from kframes_plugin.types import Candidates, Cost, Frame, Prediction


class MLLMSelector:
    """Key clips from a multimodal LLM of transformers. Safe to call from several threads; calls take turns.

    Between two queries on one :class:`Candidates` it keeps the vision features, where the model can take them, so only
    the language model runs again; what is written is the same.

    Attributes:
        candidates: T, the candidate frames it wants to see.
        frame_size: their long side, pixels.
    """

    def __init__(
        self, model: Any, processor: Any, *, settings: CheckpointSettings | None = None, name: str | None = None
    ) -> None:
        """Use a loaded model and its processor.

        Args:
            model: an image-text-to-text model of transformers, already on its device.
            processor: its processor, with a chat template.
            settings: how it was trained for kframes; None for a model that was not: the prompt then explains the task,
                and the processor is kept from enlarging or cutting up the small frames.
            name: for messages.

        Raises:
            SelectorError: the processor has no chat template or takes no images.
        """
        self.model = model
        self.processor = processor
        self.settings = settings or CheckpointSettings()
        self.candidates = self.settings.candidates
        self.frame_size = self.settings.frame_size
        self.name = name or type(model).__name__
        if getattr(processor, "image_processor", None) is None:
            raise SelectorError(f"{self.name} reads no images; choose a model for image-text-to-text")
        if not getattr(processor, "chat_template", None):
            raise SelectorError(
                f"{self.name} has no chat template, so no prompt can be written; choose the instruct or chat version, "
                "or set processor.chat_template"
            )
        self._image_options = {} if settings else _small_frames(processor.image_processor)
        self._lock = threading.Lock()  # the model keeps state while it writes

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | None = None,
        dtype: str = "auto",
        settings: CheckpointSettings | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Load a model by name.

        Args:
            name: hub id or local directory of a model, or of a PEFT adapter. Its ``kframes.json`` is followed.
            device: "cpu", "cuda", "cuda:1", "auto" (spread over all GPUs); None: the GPU where there is one.
            dtype: "float32", "bfloat16", "float16"; "auto": bfloat16 on a GPU, float32 on a CPU.
            settings: used instead of the checkpoint's ``kframes.json``.
            trust_remote_code: run code that comes with the checkpoint.

        Raises:
            SelectorError: it cannot be loaded; the message says what to do.
        """
        loaded = load(os.fspath(name), device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        return cls(loaded.model, loaded.processor, settings=settings or loaded.settings, name=os.fspath(name))

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips that the model writes for a query, best first.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Raises:
            SelectorError: the GPU's memory or the model's context is too small; the message says what to lower.
        """
        fmt, notes = self.settings.format, []
        plain = self._without_control_tokens(query)
        if plain != query:
            notes.append("control tokens of the model in the query were read as plain text")
        with self._lock:
            try:
                answer, finished, cost = self._write(frames, build_messages(frames, plain, fmt))
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                raise SelectorError(self._too_large(frames, "the GPU has not enough memory")) from error
        if not finished:
            notes.append(f"the answer was cut off at {self.settings.max_new_tokens} tokens (max_new_tokens)")
        times = [frame.timestamp for frame in frames]
        clips = parse_clips(answer, duration_of(frames), fmt=fmt, times=times)
        return Prediction(clips, notes=(*notes, *clips.notes), cost=cost)

    def _write(self, frames: Sequence[Frame], messages: list[dict[str, Any]]) -> tuple[str, bool, Cost]:
        """The model's answer, whether it came to an end, and what it cost."""
        inputs, greedy, device = self._tokens(frames, messages), self._greedy(), self.model.device
        length = inputs["input_ids"].shape[1]
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        with torch.inference_mode():
            written = self.model.generate(**self._seen(frames, inputs), generation_config=greedy)[0, length:]
        finished = len(written) < self.settings.max_new_tokens or int(written[-1]) in (greedy.eos_token_id or [])
        cost = Cost(
            candidates=len(frames),
            model_calls=1,
            tokens_in=length,
            tokens_out=len(written),
            peak_memory_mb=torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None,
        )
        return self.processor.decode(written, skip_special_tokens=True), finished, cost

    def _tokens(self, frames: Sequence[Frame], messages: list[dict[str, Any]]) -> Mapping[str, Any]:
        """All that the processor makes of the messages (ids, pixels, token types ...), if the model can hold it."""
        inputs: Mapping[str, Any] = self.processor.apply_chat_template(
            messages,
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"images_kwargs": self._image_options},
        ).to(self.model.device, dtype=self.model.dtype)
        length, room = inputs["input_ids"].shape[1], self.settings.max_new_tokens
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if limit and length + room > limit:
            raise SelectorError(
                self._too_large(frames, f"{length} tokens and max_new_tokens={room} exceed its {limit}")
            )
        return inputs

    def _seen(self, frames: Sequence[Frame], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs with vision features in place of pixels, computed once for one :class:`Candidates`."""
        kwargs = dict(inputs)
        parameters = inspect.signature(self.model.forward).parameters
        encode = getattr(self.model.base_model, "get_image_features", None)
        if not isinstance(frames, Candidates) or "mm_encoder_outputs" not in parameters or encode is None:
            return kwargs
        wanted = inspect.signature(encode).parameters
        features = frames.cache.get(self)
        if features is None:
            features = encode(**{key: kwargs[key] for key in wanted if key in kwargs}, return_dict=True)
            frames.cache[self] = features
        kwargs.pop("pixel_values")
        return {**kwargs, "mm_encoder_outputs": {"image": features}}

    def _greedy(self) -> GenerationConfig:
        """The most likely answer, always the same. Every sampling setting a checkpoint brings along is overruled."""
        own = self.model.generation_config
        stops = own.eos_token_id if own.eos_token_id is not None else self.processor.tokenizer.eos_token_id
        stops = stops if isinstance(stops, list) or stops is None else [stops]
        pad = own.pad_token_id if own.pad_token_id is not None else (stops or [0])[0]
        return GenerationConfig(
            max_new_tokens=self.settings.max_new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            repetition_penalty=1.0,  # keys repeat in every clip
            bos_token_id=own.bos_token_id,
            eos_token_id=stops,
            pad_token_id=pad,
        )

    def _without_control_tokens(self, text: str) -> str:
        """Break up control tokens: an image mark in a query would ask for an image that is not there."""
        for token in (*self.processor.tokenizer.all_special_tokens, getattr(self.processor, "image_token", "")):
            if len(token) > 1:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _too_large(self, frames: Sequence[Frame], why: str) -> str:
        width, height = frames[0].image.size
        return (
            f"{self.name} cannot read {len(frames)} candidate frames of {width}x{height} pixels: {why}; lower "
            "candidates or candidate_size, as KFrames.from_pretrained(name, candidates=64, candidate_size=112)"
        )


def _small_frames(image_processor: Any) -> dict[str, Any]:
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
