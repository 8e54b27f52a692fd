"""A multimodal LLM reads the candidate frames with their times and names the key clips.

Any transformers image-text-to-text model with a chat template: a hub id, a local directory, the directory of a PEFT
adapter, or a loaded model and processor. How to load one is in ``loading.py``. It writes the clips, or says in one
word a frame what matters (``mllm/frame_scores.py``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from kframes_plugin.clips.from_scores import PROBABILITY, clips_from_scores
from kframes_plugin.errors import SelectorError
from kframes_plugin.mllm.checkpoint import CheckpointSettings, check_prediction
from kframes_plugin.mllm.frame_scores import frame_scores, merged_clips
from kframes_plugin.mllm.generate import write
from kframes_plugin.mllm.inputs import ModelInputs, small_frames, without_control_tokens
from kframes_plugin.mllm.load import load
from kframes_plugin.mllm.threads import is_small, one_thread
from kframes_plugin.mllm.vocabulary import in_known_case, refusal
from kframes_plugin.prompt import build_messages, duration_of, parse_clips
from kframes_plugin.types import Cost, Frame, Note, Prediction, PredictionKind

IDS = "input_ids"
NOTHING = Note("nothing-found", "the model found nothing in the video that matches the query")
PLAIN = Note("control-tokens", "control tokens of the model in the query were read as plain text")
UNTRAINED = Note(
    "untrained", 'this model was not trained to score frames (prediction="scores"); its scores may say nothing'
)


class MLLMSelector:
    """Key clips from a multimodal LLM of transformers. Safe to call from several threads; calls take turns.

    Between two queries on one :class:`Candidates` it keeps the vision features, where the model can take them, so only
    the language model runs again; what is found is the same.

    Attributes:
        candidates: T, the candidate frames it wants to see.
        frame_size: their long side, pixels, or (width, height).
        prediction: "text": it writes its clips, with reasons. "scores": one score a candidate, read in one pass without
            writing, several times faster; clips are where it is high, and come without reasons in words. "both": the
            clips of both (:func:`~kframes_plugin.mllm.frame_scores.merged_clips`); the model is called twice.
        snap_to_cuts: True: its clips end at candidates.
    """

    snap_to_cuts = True

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        settings: CheckpointSettings | None = None,
        prediction: PredictionKind | None = None,
        name: str | None = None,
    ) -> None:
        """Use a loaded model and its processor.

        Args:
            model: an image-text-to-text model of transformers, already on its device.
            processor: its processor, with a chat template.
            settings: how it was trained for kframes; None for a model that was not: the prompt then explains the task,
                and the processor is kept from enlarging or cutting up the small frames.
            prediction: "text", "scores" or "both"; None: what the settings say.
            name: for messages.

        Raises:
            SelectorError: the processor has no chat template or takes no images.
            ValueError: an unknown prediction.
        """
        self.model = model
        self.processor = processor
        self.settings = settings or CheckpointSettings()
        self.candidates = self.settings.candidates
        self.frame_size = self.settings.frame_size
        self.prediction = check_prediction(prediction or self.settings.prediction)
        self.name = name or type(model).__name__
        if getattr(processor, "image_processor", None) is None:
            raise SelectorError(f"{self.name} reads no images; choose a model for image-text-to-text")
        if not getattr(processor, "chat_template", None):
            raise SelectorError(
                f"{self.name} has no chat template, so no prompt can be written; choose the instruct or chat version, "
                "or set processor.chat_template"
            )
        self._inputs = ModelInputs(model, processor, {} if settings else small_frames(processor.image_processor))
        self._is_small = is_small(model)
        self._lock = threading.Lock()  # the model keeps state while it writes

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | None = None,
        dtype: str = "auto",
        settings: CheckpointSettings | None = None,
        prediction: PredictionKind | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Load a model by name.

        Args:
            name: hub id or local directory of a model, or of a PEFT adapter. Its ``kframes.json`` is followed.
            device: "cpu", "cuda", "cuda:1", "auto" (spread over all GPUs); None: the GPU where there is one.
            dtype: "float32", "bfloat16", "float16"; "auto": bfloat16 on a GPU, float32 on a CPU.
            settings: used instead of the checkpoint's ``kframes.json``.
            prediction: "text", "scores" or "both"; None: what the settings say.
            trust_remote_code: run code that comes with the checkpoint.

        Raises:
            SelectorError: it cannot be loaded; the message says what to do.
            ValueError: an unknown dtype or prediction.
        """
        name = os.fspath(name)
        loaded = load(name, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        return cls(
            loaded.model, loaded.processor, settings=settings or loaded.settings, prediction=prediction, name=name
        )

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips that the model names for a query, best first; none, with a note, where it finds nothing.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Raises:
            SelectorError: the GPU's memory or the model's context is too small; the message says what to lower.
        """
        vocabulary = self.settings.vocabulary
        if vocabulary is not None and (why := refusal(query, vocabulary)):
            return Prediction(notes=[Note("unknown-words", why)], cost=Cost(candidates=len(frames)))
        plain = without_control_tokens(self.processor, query)
        asked = self._as_trained(plain)
        found = self._found(frames, asked)
        notes = [*([PLAIN] if plain != query else []), *found.notes]
        return Prediction(found, notes=notes, cost=found.cost)

    def frame_scores(self, frames: Sequence[Frame], query: str) -> NDArray[np.float64]:
        """How much every candidate frame matters to a query, whatever the prediction and the vocabulary.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Returns:
            (T,) in 0..1: the probability that the frame is of top priority, and 0.6 of that of secondary.

        Raises:
            SelectorError: as for a call; or the model's image tokens cannot be told apart.
        """
        return self._score(frames, self._as_trained(without_control_tokens(self.processor, query)))[0]

    def _found(self, frames: Sequence[Frame], query: str) -> Prediction:
        if self.prediction == "text":
            return self._written(frames, query)
        scored = self._scored(frames, query)
        if self.prediction == "scores":
            return scored
        written = self._written(frames, query)
        clips = merged_clips(written, scored)
        notes = [note for note in (*written.notes, *scored.notes) if not (clips and note.code == NOTHING.code)]
        return Prediction(clips, notes=notes, cost=written.cost + replace(scored.cost, candidates=0))

    def _written(self, frames: Sequence[Frame], query: str) -> Prediction:
        """What the model writes, read as clips."""
        fmt, room = self.settings.format, self.settings.max_new_tokens
        with self._turn(frames):
            inputs = self._read(frames, build_messages(frames, query, fmt), room)
            answer = write(self.model, self.processor, inputs, room)
            cost = self._cost(frames, inputs[IDS].shape[1], answer.tokens)
        clips = parse_clips(answer.text, duration_of(frames), fmt=fmt, times=[frame.timestamp for frame in frames])
        cut = (
            [] if answer.finished else [Note("answer-cut", f"the answer was cut off at {room} tokens (max_new_tokens)")]
        )
        notes = [*cut, *clips.notes]
        return Prediction(clips, notes=notes if clips or notes else [NOTHING], cost=cost)

    def _scored(self, frames: Sequence[Frame], query: str) -> Prediction:
        """Clips where the scores of the frames are high."""
        scores, cost = self._score(frames, query)
        times = [frame.timestamp for frame in frames]
        clips = clips_from_scores(scores, times, duration_of(frames), rule=PROBABILITY, word="relevance")
        notes = [] if self.settings.scores_layer else [UNTRAINED]
        if not clips:
            notes.append(Note(NOTHING.code, f"{NOTHING} (highest relevance of a frame {scores.max():.2f})"))
        return Prediction(clips, notes=notes, cost=cost)

    def _score(self, frames: Sequence[Frame], query: str) -> tuple[NDArray[np.float64], Cost]:
        fmt = self.settings.format
        if fmt.query_position == "after":  # attention looks back only: a frame cannot know what comes after it
            fmt = replace(fmt, query_position="before")
        with self._turn(frames):
            inputs = self._read(frames, build_messages(frames, query, fmt), room=0)
            layer, tokenizer = self.settings.scores_layer, self.processor.tokenizer
            scores = frame_scores(self.model, tokenizer, inputs, len(frames), layer)
            return scores, self._cost(frames, inputs[IDS].shape[1], 0)

    def _as_trained(self, query: str) -> str:
        """The query in the case that a model of few words knows."""
        if self.settings.vocabulary is None:
            return query
        with self._lock:
            tokenizer = self.processor.tokenizer
            return in_known_case(query, lambda text: len(tokenizer(text, add_special_tokens=False)[IDS]))

    def _read(self, frames: Sequence[Frame], messages: list[dict[str, Any]], room: int) -> dict[str, Any]:
        """The model's inputs, if it can hold them and ``room`` more tokens."""
        inputs = self._inputs(frames, messages)
        length = inputs[IDS].shape[1]
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if limit and length + room > limit:
            more = f" and max_new_tokens={room}" if room else ""
            raise SelectorError(self._too_large(frames, f"{length} tokens{more} exceed its {limit}"))
        return inputs

    @contextmanager
    def _turn(self, frames: Sequence[Frame]) -> Iterator[None]:
        """One call at a time; its memory is measured, and a full GPU gives a message that helps."""
        with self._lock:
            if self.model.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.model.device)
            try:
                with one_thread(self._is_small):
                    yield
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                raise SelectorError(self._too_large(frames, "the GPU has not enough memory")) from error

    def _cost(self, frames: Sequence[Frame], read: int, written: int) -> Cost:
        device = self.model.device
        peak = torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None
        return Cost(candidates=len(frames), model_calls=1, tokens_in=read, tokens_out=written, peak_memory_mb=peak)

    def _too_large(self, frames: Sequence[Frame], why: str) -> str:
        width, height = frames[0].image.size
        return (
            f"{self.name} cannot read {len(frames)} candidate frames of {width}x{height} pixels: {why}; lower "
            "candidates or candidate_size, as KFrames.from_pretrained(name, candidates=64, candidate_size=112)"
        )
