"""A model of transformers that is asked about candidates: queries in, written answers or scores of frames out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from kframes_plugin.cancellation import stop_if_cancelled
from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.asked_scores import asked_scores
from kframes_plugin.mllm.frame_scores import frame_scores
from kframes_plugin.mllm.generate import Written, write
from kframes_plugin.mllm.inputs import ModelInputs
from kframes_plugin.mllm.threads import is_small, one_thread
from kframes_plugin.prompt import PromptFormat, build_messages, write_mark
from kframes_plugin.types import Candidates, Cost

IDS = "input_ids"
BATCH = 16  # prompts that a small model on a CPU reads together; more gain nothing
GPU_BATCH = 8  # prompts that a GPU reads together, where its memory allows: the frames' keys and values are copied
Scores = NDArray[np.float64]
Told = TypeVar("Told")


class PromptedModel:
    """A loaded model, its processor, and what it keeps of one video. Threads take turns.

    Attributes:
        batch_size: queries that go through it together, >= 1; fewer where the GPU's memory does not hold so many.
        lock: held while the model or its tokenizer works; they keep state.
    """

    def __init__(
        self, inputs: ModelInputs, *, name: str, batch_size: int | None = None, transcript_tokens: int = 0
    ) -> None:
        self.model, self.processor = inputs.model, inputs.processor
        self.name = name
        self.transcript_tokens = transcript_tokens
        self.lock = threading.Lock()
        self._inputs = inputs
        self._is_small = is_small(self.model)
        self.batch_size = self._choose_batch(batch_size)

    def _choose_batch(self, wanted: int | None) -> int:
        if wanted is not None and wanted < 1:
            raise ValueError(f"batch_size must be >= 1 or None; got {wanted!r}")
        if not self._inputs.takes_batches:
            return 1
        if wanted is None:
            return BATCH if self._is_small else GPU_BATCH if self.model.device.type == "cuda" else 1
        return wanted

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the lock, so that worker processes get the model with its weights."""
        return {name: value for name, value in self.__dict__.items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self.lock = threading.Lock()

    def write(
        self, frames: Candidates, queries: Sequence[str], fmt: PromptFormat, room: int
    ) -> list[tuple[Written, Cost]]:
        """What the model writes to each query, at most ``room`` tokens, and the cost of the query asked alone."""

        def ask(batch: Sequence[str]) -> list[tuple[Written, Cost]]:
            inputs = self._encode(frames, batch, fmt, room)
            answers = write(self.model, self.processor, inputs, room)
            return list(zip(answers, self._costs(frames, inputs, [each.tokens for each in answers]), strict=True))

        return self._in_batches(frames, queries, ask)

    def score(
        self, frames: Candidates, queries: Sequence[str], fmt: PromptFormat, layer: int | None
    ) -> list[tuple[Scores, Cost]]:
        """How much every frame matters to each query, (T,) in 0..1, and the cost of the query asked alone.

        Args:
            frames: the candidates.
            queries: what to look for.
            fmt: how the model was taught to read.
            layer: the layer of the language model that was trained to score frames; None: none was. Such a model is
                asked in words (``asked_scores.py``), if the query stands after the frames and these may be read ahead;
                else it is read as a trained one, after all of its layers.
        """
        if layer is None and fmt.query_position == "after" and not self._inputs.prefix.obstacle:
            return self._score_asked(frames, queries, fmt)
        if fmt.query_position == "after":  # attention looks back only: a frame cannot know what comes after it
            fmt = replace(fmt, query_position="before")

        def ask(batch: Sequence[str]) -> list[tuple[Scores, Cost]]:
            inputs = self._encode(frames, batch, fmt)
            scores = frame_scores(self.model, self.processor.tokenizer, inputs, len(frames), layer)
            return list(zip(scores, self._costs(frames, inputs, [0] * len(batch)), strict=True))

        return self._in_batches(frames, queries, ask)

    def _score_asked(self, frames: Candidates, queries: Sequence[str], fmt: PromptFormat) -> list[tuple[Scores, Cost]]:
        marks = [write_mark(index, frame.timestamp, fmt) for index, frame in enumerate(frames)]
        more = sum(map(self.count, marks))

        def ask(batch: Sequence[str]) -> list[tuple[Scores, Cost]]:
            told: list[tuple[Scores, Cost]] = []
            for query in batch:  # one by one: with a mark for every frame, the query's own part fills a GPU
                inputs = self._encode(frames, [query], fmt, more, asks="scores")
                costs = self._costs(frames, inputs, [0], more)
                told += zip(asked_scores(self.model, self.processor.tokenizer, inputs, marks), costs, strict=True)
            return told

        return self._in_batches(frames, queries, ask)

    def count(self, text: str) -> int:
        """How many tokens a piece of text takes."""
        return len(self.processor.tokenizer(text, add_special_tokens=False)[IDS])

    def _in_batches(
        self, frames: Candidates, queries: Sequence[str], ask: Callable[[Sequence[str]], list[Told]]
    ) -> list[Told]:
        """What is told to every query, asked ``batch_size`` at a time, or half as many where a GPU is full."""
        told: list[Told] = []
        size = self.batch_size
        while len(told) < len(queries):
            batch = queries[len(told) : len(told) + size]
            stop_if_cancelled()
            try:
                with self._turn():
                    told += ask(batch)
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                if len(batch) == 1:
                    raise SelectorError(self._too_large(frames, "the GPU has not enough memory")) from error
                size = len(batch) // 2
        return told

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One call at a time; its memory is measured."""
        with self.lock, one_thread(self._is_small):
            if self.model.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.model.device)
            yield

    def _encode(
        self,
        frames: Candidates,
        queries: Sequence[str],
        fmt: PromptFormat,
        room: int = 0,
        asks: Literal["clips", "scores"] = "clips",
    ) -> dict[str, Any]:
        """The model's inputs for some queries, if it can hold each and ``room`` more tokens."""
        shown, videos = self._inputs.show(frames, fmt)
        own = shown if fmt.input == "video" else None
        tokens, count = self.transcript_tokens, self.count
        asked = [
            build_messages(frames, query, fmt, own, transcript_tokens=tokens, count=count, asks=asks)
            for query in queries
        ]
        parts = self._inputs.read(frames, asked, videos)
        length = max(part[IDS].shape[1] for part in parts)
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if limit and length + room > limit:
            more = f" and {room} to follow" if room else ""
            raise SelectorError(self._too_large(frames, f"{length} tokens{more} exceed its {limit}"))
        return self._inputs.place(frames, parts, query_last=fmt.query_position == "after")

    def _costs(self, frames: Candidates, inputs: dict[str, Any], written: Sequence[int], more: int = 0) -> list[Cost]:
        """What every prompt cost, with ``more`` tokens that are read after it; padding is no token that is read."""
        device = self.model.device
        peak = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
        lengths = (inputs["attention_mask"].sum(1) + more).tolist()
        return [
            Cost(candidates=len(frames), model_calls=1, tokens_in=length, tokens_out=tokens, peak_memory_mb=peak)
            for length, tokens in zip(lengths, written, strict=True)
        ]

    def _too_large(self, frames: Candidates, why: str) -> str:
        width, height = frames[0].image.size
        return (
            f"{self.name} cannot read {len(frames)} candidate frames of {width}x{height} pixels: {why}; lower "
            "candidates or candidate_size, as KFrames.from_pretrained(name, candidates=64, candidate_size=112)"
        )
