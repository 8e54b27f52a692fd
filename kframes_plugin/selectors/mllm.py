"""A multimodal LLM reads the candidate frames with their times and names the key clips.

Any transformers image-text-to-text model with a chat template: a hub id, a local directory, the directory of a PEFT
adapter, or a loaded model and processor. How to load one is in ``mllm/load.py``. It writes the clips, or says in one
word a frame what matters (``mllm/frame_scores.py``). Several queries on one video go through it together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.clips.from_scores import PROBABILITY, clips_from_scores
from kframes_plugin.errors import SelectorError, only_selector_errors
from kframes_plugin.mllm.checkpoint import NO_SCORES, CheckpointSettings, check_prediction
from kframes_plugin.mllm.frame_scores import merged_clips
from kframes_plugin.mllm.inputs import ModelInputs, small_frames, whole_frames, without_control_tokens
from kframes_plugin.mllm.load import load
from kframes_plugin.mllm.prompted import PromptedModel
from kframes_plugin.mllm.vocabulary import in_known_case, refusal
from kframes_plugin.prompt import duration_of, parse_clips
from kframes_plugin.prompt.lines import TOKENS
from kframes_plugin.prompt.styles import style_of
from kframes_plugin.text import quoted
from kframes_plugin.types import Candidates, Cost, Frame, Note, Prediction, PredictionKind

NOTHING = Note("nothing-found", "the model found nothing in the video that matches the query")
PLAIN = Note("control-tokens", "control tokens of the model in the query were read as plain text")
UNTRAINED = Note(
    "untrained", 'this model was not trained to score frames (prediction="scores"); its scores may say nothing'
)


class MLLMSelector:
    """Key clips from a multimodal LLM of transformers. Safe to call from several threads; calls take turns.

    Between two queries on one :class:`Candidates` it keeps the vision features, where the model can take them. Where
    the query stands last, it also keeps what the language model has read of the frames (``mllm/prefix.py``), of one
    video at a time: some .5 GB for 256 frames of 224x168 in a model of 3 B. A further query reads only its own words,
    and what is found is the same. A debug line of the logger "kframes" tells where a family does not allow it.

    Attributes:
        candidates: T, the candidate frames it wants to see.
        frame_size: their long side, pixels, or (width, height).
        retriever: what names windows for it in videos of hours.
        prediction: "text": it writes its clips, with reasons. "scores": one score a candidate, read in one pass without
            writing, several times faster (:mod:`~kframes_plugin.mllm.frame_scores`, or ``asked_scores`` for a model
            that was not trained for it); clips are where it is high, and come without reasons in words. "both": the
            clips of both (:func:`~kframes_plugin.mllm.frame_scores.merged_clips`); the model is called twice.
        batch_size: how many queries on one video go through the model together in :meth:`predict_all`, >= 1; memory
            grows with it.
        snap_to_cuts: True: its clips end at candidates.
        rule: its scores of frames are chances.
    """

    snap_to_cuts = True
    rule = PROBABILITY

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        settings: CheckpointSettings | None = None,
        prediction: PredictionKind | None = None,
        batch_size: int | None = None,
        name: str | None = None,
        transcript_tokens: int | None = None,
    ) -> None:
        """Use a loaded model and its processor.

        Args:
            model: an image-text-to-text model of transformers, already on its device.
            processor: its processor, with a chat template.
            settings: how it was trained for kframes; None for a model that was not: the prompt then explains the task,
                and the processor is kept from enlarging or cutting up the small frames.
            prediction: "text", "scores" or "both"; None: what the settings say.
            batch_size: queries that go through the model together, >= 1; None: 16 for a model under 50 M parameters on
                a CPU, 8 on a GPU, else 1; half as many where the GPU's memory is full. It counts only where the model
                takes vision features (``mm_encoder_outputs`` of its ``forward``); any other is asked one by one.
            name: for messages.
            transcript_tokens: that lines of a transcript may take in a prompt, >= 0; None: 2,000, and 0 for a model
                with settings, as it was trained without.

        Raises:
            SelectorError: the processor has no chat template or takes no images.
            ValueError: an unknown prediction, scores from native video, or a batch_size below 1.
        """
        self.model = model
        self.processor = processor
        self.settings = settings if settings is not None else CheckpointSettings()
        self.candidates = self.settings.candidates
        self.frame_size = self.settings.frame_size
        self.retriever = self.settings.retriever
        self.prediction = check_prediction(
            prediction if prediction is not None else self.settings.prediction, self.settings.format
        )
        self.name = name if name is not None else type(model).__name__
        self._check_processor()
        usual = TOKENS if settings is None else 0
        self.transcript_tokens = usual if transcript_tokens is None else transcript_tokens
        self._prompted = PromptedModel(
            ModelInputs(model, processor, self._options(settings), self.settings.format.input),
            name=self.name,
            batch_size=batch_size,
            transcript_tokens=self.transcript_tokens,
        )

    @property
    def batch_size(self) -> int:
        """How many queries on one video go through the model together in :meth:`predict_all`, >= 1."""
        return self._prompted.batch_size

    def _check_processor(self) -> None:
        if getattr(self.processor, "image_processor", None) is None:
            raise SelectorError(f"{self.name} reads no images; choose a model for image-text-to-text")
        if not getattr(self.processor, "chat_template", None):
            raise SelectorError(
                f"{self.name} has no chat template, so no prompt can be written; choose the instruct or chat version, "
                "or set processor.chat_template"
            )

    @property
    def reads_words(self) -> bool:
        """Whether words are not joined with its clips: its prompt holds the lines, or it has no scores."""
        return self.transcript_tokens > 0 or self.prediction == "text"

    def _options(self, settings: CheckpointSettings | None) -> dict[str, Any]:
        """What the image or video processor is told; images of a checkpoint with settings are made as in training."""
        if self.settings.format.input == "images":
            return small_frames(self.processor.image_processor) if settings is None else {}
        if style_of(self.processor) == "interleaved":
            raise SelectorError(f'{self.name} has no place for videos, so input="video" is not for it; use "images"')
        return whole_frames(self.processor.video_processor)

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | None = None,
        dtype: str = "auto",
        settings: CheckpointSettings | None = None,
        prediction: PredictionKind | None = None,
        batch_size: int | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Load a model by name.

        Args:
            name: hub id or local directory of a model, or of a PEFT adapter. Its ``kframes.json`` is followed, else
                its preset (``mllm/presets``) where it has one.
            device: "cpu", "cuda", "cuda:1", "auto" (spread over all GPUs); None: the GPU where there is one.
            dtype: "float32", "bfloat16", "float16"; "auto": bfloat16 on a GPU, float32 on a CPU.
            settings: used instead of the checkpoint's ``kframes.json``.
            prediction: "text", "scores" or "both"; None: what the settings say.
            batch_size: queries that go through the model together; see :class:`MLLMSelector`.
            trust_remote_code: run code that comes with the checkpoint.

        Raises:
            SelectorError: it cannot be loaded; the message says what to do.
            ValueError: an unknown dtype or prediction, or a batch_size below 1.
        """
        name = os.fspath(name)
        loaded = load(name, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        return cls(
            loaded.model,
            loaded.processor,
            settings=settings if settings is not None else loaded.settings,
            prediction=prediction,
            batch_size=batch_size,
            name=name,
        )

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """Name the clips that matter to a query, best first; none, with a note, where the model finds nothing.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Raises:
            SelectorError: the GPU's memory or the model's context is too small; the message says what to lower.
        """
        return self.predict_all(frames, [query])[0]

    def predict_all(self, frames: Sequence[Frame], queries: Sequence[str]) -> list[Prediction]:
        """Name the clips of several queries on one video: those that a call for each would name, several times faster.

        The vision tower sees the frames once, and ``batch_size`` queries go through the language model together.

        Args:
            frames: candidate frames in time order, at least one.
            queries: what to look for, in words.

        Returns:
            A prediction a query, in their order. Each has the cost of its query asked alone.

        Raises:
            SelectorError: as for a call.
        """
        shown = _as_candidates(frames)
        vocabulary = self.settings.vocabulary
        refused = {query: refusal(query, vocabulary) for query in queries} if vocabulary is not None else {}
        asked = [query for query in dict.fromkeys(queries) if not refused.get(query)]
        with only_selector_errors(f"the model {quoted(self.name)} cannot answer"):
            plain = [without_control_tokens(self.processor, query) for query in asked]
            answered = dict(zip(asked, self._predict(shown, [self._as_trained(text) for text in plain]), strict=True))
        changed = {query for query, text in zip(asked, plain, strict=True) if text != query}
        predictions = []
        for query in queries:
            if query in answered:
                clips = answered[query]
                notes = [*([PLAIN] if query in changed else []), *clips.notes]
                predictions.append(Prediction(clips, notes=notes, cost=clips.cost))
            else:
                predictions.append(
                    Prediction(notes=[Note("unknown-words", refused[query])], cost=Cost(candidates=len(frames)))
                )
        return predictions

    def frame_scores(self, frames: Sequence[Frame], query: str) -> NDArray[np.float64]:
        """Return how much every candidate frame matters to a query, (T,) in 0..1; see :meth:`frame_scores_all`."""
        scores: NDArray[np.float64] = self.frame_scores_all(frames, [query])[0]
        return scores

    def frame_scores_all(self, frames: Sequence[Frame], queries: Sequence[str]) -> NDArray[np.float64]:
        """Return how much every candidate frame matters to each query, whatever the prediction and the vocabulary.

        Args:
            frames: candidate frames in time order, at least one.
            queries: what to look for, in words.

        Returns:
            (queries, T) in 0..1: the probability that the frame is of top priority, and 0.6 of that of secondary.

        Raises:
            SelectorError: as for a call; or the model's image tokens cannot be told apart, or it reads native video.
        """
        if self.settings.format.input == "video":
            raise SelectorError(f"{self.name}: frame_scores {NO_SCORES}")
        fmt, layer = self.settings.format, self.settings.scores_layer
        with only_selector_errors(f"the model {quoted(self.name)} cannot answer"):
            asked = [self._as_trained(without_control_tokens(self.processor, query)) for query in queries]
            scored = self._prompted.score(_as_candidates(frames), asked, fmt, layer)
        return np.stack([scores for scores, _ in scored]) if scored else np.zeros((0, len(frames)))

    def _predict(self, frames: Candidates, queries: Sequence[str]) -> list[Prediction]:
        if self.prediction == "text":
            return self._write(frames, queries)
        scored = self._read_scores(frames, queries)
        if self.prediction == "scores":
            return scored
        return [_merge(*both) for both in zip(self._write(frames, queries), scored, strict=True)]

    def _write(self, frames: Candidates, queries: Sequence[str]) -> list[Prediction]:
        """What the model writes, read as clips."""
        fmt, room = self.settings.format, self.settings.max_new_tokens
        times = [frame.timestamp for frame in frames]
        predictions = []
        for answer, cost in self._prompted.write(frames, queries, fmt, room):
            clips = parse_clips(answer.text, frames.duration, fmt=fmt, times=times)
            cut = Note("answer-cut", f"the answer was cut off at {room} tokens (max_new_tokens)")
            notes = [*([] if answer.finished else [cut]), *clips.notes]
            predictions.append(Prediction(clips, notes=notes if clips or notes else [NOTHING], cost=cost))
        return predictions

    def _read_scores(self, frames: Candidates, queries: Sequence[str]) -> list[Prediction]:
        """Clips where the scores of the frames are high."""
        times, layer = [frame.timestamp for frame in frames], self.settings.scores_layer
        predictions = []
        for scores, cost in self._prompted.score(frames, queries, self.settings.format, layer):
            clips = clips_from_scores(scores, times, frames.duration, rule=PROBABILITY, word="relevance")
            notes = [] if layer is not None else [UNTRAINED]
            if not clips:
                notes.append(Note(NOTHING.code, f"{NOTHING} (highest relevance of a frame {scores.max():.2f})"))
            predictions.append(Prediction(clips, notes=notes, cost=cost))
        return predictions

    def _as_trained(self, query: str) -> str:
        """The query in the case that a model of few words knows."""
        if self.settings.vocabulary is None:
            return query
        with self._prompted.lock:
            return in_known_case(query, self._prompted.count)


def _as_candidates(frames: Sequence[Frame]) -> Candidates:
    return frames if isinstance(frames, Candidates) else Candidates(frames, duration_of(frames))


def _merge(written: Prediction, scored: Prediction) -> Prediction:
    """The clips of what the model wrote and of its scores; the frames are counted once."""
    clips = merged_clips(written, scored)
    notes = [note for note in (*written.notes, *scored.notes) if not (clips and note.code == NOTHING.code)]
    return Prediction(clips, notes=notes, cost=written.cost + replace(scored.cost, candidates=0))
