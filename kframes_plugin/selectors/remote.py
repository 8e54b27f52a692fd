"""A multimodal LLM behind an OpenAI-compatible chat endpoint reads the frames and writes the clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from kframes_plugin.chat.client import ChatClient
from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, build_messages, duration_of, parse_clips
from kframes_plugin.types import Frame, Note, Prediction


@dataclass(frozen=True, eq=False)
class RemoteSelector(ChatClient):
    """Key clips from a model behind a chat endpoint; its server and limits are those of :class:`ChatClient`.

    Attributes:
        candidates: T, the candidate frames it is shown, >= 1. Each is an image to pay for: 64, not 256.
        frame_size: their long side, pixels.
        format: how prompts and answers are written.
        snap_to_cuts: True: its clips end at candidates.
    """

    snap_to_cuts: ClassVar[bool] = True

    candidates: int = 64
    frame_size: int = 448
    format: PromptFormat = DEFAULT_FORMAT

    @property
    def name(self) -> str:
        """URL and model, as :meth:`from_url` takes them."""
        return f"{self.url}#{self.model}"

    @property
    def description(self) -> dict[str, Any]:
        """The limit of its answers, and more fields of the request."""
        return {"max_tokens": self.max_tokens, "options": dict(self.options)}

    def __call__(self, frames: Sequence[Frame], query: str, /) -> Prediction:
        """The clips that the model writes for a query, best first.

        Args:
            frames: candidate frames in time order, at least one.
            query: what to look for, in words.

        Raises:
            SelectorError: the server cannot be reached, refuses, or does not answer as a chat endpoint does.
        """
        reply = self.chat(build_messages(frames, query, self.format), shown=len(frames))
        cut = Note("answer-cut", f"the answer was cut off at {self.max_tokens} tokens (max_tokens)")
        notes = [cut] if reply.cut_off else []
        times = [frame.timestamp for frame in frames]
        clips = parse_clips(reply.text, duration_of(frames), fmt=self.format, times=times)
        return Prediction(clips, notes=(*notes, *clips.notes), cost=replace(reply.cost, candidates=len(frames)))
