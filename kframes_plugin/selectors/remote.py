"""A multimodal LLM behind an OpenAI-compatible chat endpoint reads the frames and writes the clips."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from kframes_plugin.chat.client import ChatClient
from kframes_plugin.chat.images import jpeg
from kframes_plugin.chat.options import check_options
from kframes_plugin.prompt import DEFAULT_FORMAT, PromptFormat, build_messages, duration_of, parse_clips
from kframes_plugin.prompt.lines import TOKENS
from kframes_plugin.types import Candidates, Frame, Note, Prediction


@dataclass(frozen=True, eq=False)
class RemoteSelector(ChatClient):
    """Key clips from a model behind a chat endpoint; its server and limits are those of :class:`ChatClient`.

    Attributes:
        candidates: T, the candidate frames it is shown, >= 1. Each is an image to pay for: 64, not 256.
        frame_size: their long side, pixels.
        format: how prompts and answers are written.
        concurrency: requests under way together where many queries are asked at once, >= 1.
        image_ids: send a "uuid" with every picture, by which vLLM finds what it knows of it; others may refuse it.
        transcript_tokens: that lines of a transcript may take in a prompt, estimated, >= 0.
        snap_to_cuts: True: its clips end at candidates.
        retriever: what names windows for it in videos of hours.
    """

    snap_to_cuts: ClassVar[bool] = True
    retriever: ClassVar[str] = "lite"

    candidates: int = 64
    frame_size: int = 448
    format: PromptFormat = DEFAULT_FORMAT
    concurrency: int = 8
    image_ids: bool = False
    transcript_tokens: int = TOKENS

    @classmethod
    def from_options(cls, url: str, options: Mapping[str, Any]) -> Self:
        """:meth:`from_url` with options that a person wrote.

        Raises:
            ValueError: an unknown name, or a value that cannot be.
        """
        return cls.from_url(url, **check_options(cls, options, without=("url", "model", "format")))

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
            SelectorError: the server cannot be reached, refuses, or does not answer like a chat endpoint.
        """
        return self._ask(frames, self._jpegs(frames), query)

    def predict_all(self, frames: Sequence[Frame], queries: Sequence[str], /) -> list[Prediction]:
        """The clips of many queries, in their order; arguments and errors as for one.

        The first goes alone, so that the server has read the frames when the others come, ``concurrency`` at a time.
        All requests are the same, byte by byte, up to the query: prefix and picture caches of servers then hold.
        """
        pictures = self._jpegs(frames)
        found = [self._ask(frames, pictures, query) for query in queries[:1]]
        with ThreadPoolExecutor(self.concurrency, "kframes-remote") as pool:
            asked = [pool.submit(copy_context().run, self._ask, frames, pictures, query) for query in queries[1:]]
            return found + [answer.result() for answer in asked]

    def _ask(self, frames: Sequence[Frame], pictures: Sequence[bytes], query: str) -> Prediction:
        messages = build_messages(frames, query, self.format, transcript_tokens=self.transcript_tokens)
        encoded = iter(pictures)
        for message in messages:
            message["content"] = [
                self._picture(next(encoded)) if item["type"] == "image" else item for item in message["content"]
            ]
        reply = self.chat(messages, shown=len(frames))
        cut = Note("answer-cut", f"the answer was cut off at {self.max_tokens} tokens (max_tokens)")
        notes = [cut] if reply.cut_off else []
        times = [frame.timestamp for frame in frames]
        clips = parse_clips(reply.text, duration_of(frames), fmt=self.format, times=times)
        return Prediction(clips, notes=(*notes, *clips.notes), cost=replace(reply.cost, candidates=len(frames)))

    def _picture(self, data: bytes) -> dict[str, Any]:
        named = {"uuid": hashlib.sha256(data).hexdigest()[:32]} if self.image_ids else {}
        return {"type": "image", "jpeg": data, **named}

    def _jpegs(self, frames: Sequence[Frame]) -> list[bytes]:
        """The frames as JPEG, encoded once for all queries."""
        cache = frames.cache if isinstance(frames, Candidates) else {}
        if self not in cache:
            cache[self] = [jpeg(frame.image, long_side=None, quality=self.quality) for frame in frames]
        encoded: list[bytes] = cache[self]
        return encoded
