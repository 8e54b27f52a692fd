"""An annotator describes pictures and judges text; one that is a language model is asked, read, and asked again once.

Any object with these two methods is an annotator. ``id`` names all that decides its answers: steps that another
annotator made are not taken for its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from kframes_plugin.chat.images import jpeg
from kframes_plugin.errors import KFramesError
from kframes_plugin.types import Frame
from kframes_training.sources.peakclips.answers import Unusable, read, schema
from kframes_training.sources.peakclips.cache import AnswerCache
from kframes_training.sources.peakclips.prompts import Prompt, repair


class AnnotatorError(KFramesError):
    """The annotator cannot be loaded or reached, or is not let in: nothing can be annotated until that is mended."""


class ItemError(Exception):
    """One answer could not be had; the build goes on without it.

    Attributes:
        answer: what was answered instead, "" for nothing.
    """

    def __init__(self, message: str, answer: str = "") -> None:
        super().__init__(message)
        self.answer = answer


class UnansweredError(ItemError):
    """The server failed at one request again and again: the next build asks for it anew."""


class Annotator(Protocol):
    """Two methods; both raise :class:`ItemError` for an answer that cannot be had, :class:`AnnotatorError` for all."""

    id: str

    async def describe(self, frames: Sequence[Frame], prompt: Prompt) -> BaseModel:
        """What the frames, in time order, show: an answer of the prompt's form."""

    async def judge(self, prompt: Prompt) -> BaseModel:
        """An answer to text alone."""


@dataclass(frozen=True)
class Completion:
    """What a language model wrote to some messages, and what it cost.

    Attributes:
        text: the answer.
        tokens_in, tokens_out: read and written, >= 0; 0 where the server does not say.
        requests: sent until it came, >= 1.
        cut_off: it ended at the longest answer allowed.
    """

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    requests: int = 1
    cut_off: bool = False


Messages = list[dict[str, Any]]  # role, content: [{"type": "text", "text"} or {"type": "image", "jpeg": bytes}]


class Writer(Protocol):
    """A language model. ``id`` names all that decides its answers: model, server, sampling, seed."""

    id: str

    async def write(self, messages: Messages, form: dict[str, Any], name: str) -> Completion:
        """The answer to messages; ``form`` is the JSON schema it should have, ``name`` the schema's name."""


class LLMAnnotator:
    """Any language model as annotator: every answer is kept, read leniently, and repaired in one more round.

    Args:
        writer: the model.
        cache: of its answers; an answer that is there is never asked for again.
        repairs: rounds in which a model is told what is wrong with its answer, >= 0.
        quality: of the JPEGs, 1 to 95.
    """

    def __init__(self, writer: Writer, cache: AnswerCache, *, repairs: int = 1, quality: int = 85) -> None:
        self.writer, self.cache, self.repairs, self.quality = writer, cache, repairs, quality
        self.id = f"{writer.id} repairs={repairs} quality={quality}"

    async def describe(self, frames: Sequence[Frame], prompt: Prompt) -> BaseModel:
        """Frames, each after its time, then the prompt."""
        content: list[dict[str, Any]] = []
        for frame in frames:
            content.append({"type": "text", "text": f"<{frame.timestamp:.1f} seconds>"})
            content.append({"type": "image", "jpeg": jpeg(frame.image, long_side=None, quality=self.quality)})
        return await self._ask([*content, {"type": "text", "text": "\n" + prompt.text}], prompt)

    async def judge(self, prompt: Prompt) -> BaseModel:
        """The prompt alone."""
        return await self._ask([{"type": "text", "text": prompt.text}], prompt)

    async def aclose(self) -> None:
        """Close the writer's connections, where it has some."""
        if aclose := getattr(self.writer, "aclose", None):
            await aclose()

    async def _ask(self, content: list[dict[str, Any]], prompt: Prompt) -> BaseModel:
        messages: Messages = [{"role": "user", "content": content}]
        for repairs_left in range(self.repairs, -1, -1):
            written = await self._written(messages, prompt)
            try:
                return read(written.text, prompt)
            except Unusable as problem:
                why = f"{problem}{' (it was cut off)' if written.cut_off else ''}"
                if not repairs_left:
                    raise ItemError(f"no usable answer after {self.repairs} repairs: {why}", written.text) from problem
                messages = [*messages, _said("assistant", written.text or "(nothing)"), _said("user", repair(why))]
        raise AssertionError("unreachable: the last round returns or raises")

    async def _written(self, messages: Messages, prompt: Prompt) -> Completion:
        form = schema(prompt.task)
        key = _key(self.writer.id, messages, form)
        about = {
            "task": prompt.task,
            "video_id": prompt.facts.get("video_id", ""),
            "writer": self.writer.id,
            "repair": len(messages) // 2,  # 0 for the first answer
        }

        async def ask() -> dict[str, Any]:
            return vars(await self.writer.write(messages, form, prompt.task))

        return Completion(**await self.cache.get(key, ask, about))


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _key(writer: str, messages: Messages, form: dict[str, Any]) -> str:
    """The address of an answer: a digest of everything that decides it."""

    def plain(value: Any) -> str:
        return hashlib.sha256(value).hexdigest()

    return plain(json.dumps([writer, messages, form], sort_keys=True, default=plain).encode())
