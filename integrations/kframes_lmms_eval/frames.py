"""Chat messages of a task of lmms-eval with k frames, each after its true time, in place of every video."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kframes_plugin.kframes import KFrames
from kframes_plugin.session import VideoSession
from kframes_plugin.types import Strategy

Message = dict[str, Any]


class FramesForVideos:
    """Rewrites messages; questions on one video in a row share one look at it. Safe to call from several threads.

    Args:
        kframes: the selector.
        k: frames for each video, >= 1.
        query_field: field of the task's document that holds the query; None: the last text of the user, which in
            most tasks is the question with its options and the task's instructions.
        strategy: as for :meth:`KFrames.select`.
    """

    def __init__(
        self, kframes: KFrames, k: int, *, query_field: str | None = None, strategy: Strategy | None = None
    ) -> None:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be a whole number >= 1; got {k!r}")
        self.kframes = kframes
        self.k = k
        self.query_field = query_field
        self.strategy = strategy
        self._lock = threading.Lock()
        self._opened: tuple[str, VideoSession] | None = None

    def __call__(self, messages: Sequence[Message], document: Mapping[str, Any]) -> list[Message]:
        """The messages of a document, as lmms-eval's ``doc_to_messages`` makes them, with frames; others as they are.

        Raises:
            ValueError: no text says what to look for.
            VideoError, SelectorError: as for :meth:`KFrames.select`.
        """
        if not any(_is_video(part) for message in messages for part in _parts(message)):
            return list(messages)
        query = self._query(messages, document)
        return [{**message, "content": self._content(message, query)} for message in messages]

    def close(self) -> None:
        """Close the video that is still open."""
        with self._lock:
            if self._opened is not None:
                self._opened[1].close()
                self._opened = None

    def _content(self, message: Message, query: str) -> Any:
        if not isinstance(message.get("content"), list):
            return message.get("content")
        content: list[dict[str, Any]] = []
        for part in message["content"]:
            content += self._frames(part, query) if _is_video(part) else [part]
        return content

    def _frames(self, part: Mapping[str, Any], query: str) -> list[dict[str, Any]]:
        """Time, frame, time, frame ... for one video, or for the part of it that the task names."""
        source = part.get("url")
        if not isinstance(source, str | os.PathLike):
            raise ValueError(f"the video of a task must be the path of a file; got {type(source).__name__}")
        with self._lock:
            selection = self._session(os.fspath(source)).select(
                query, self.k, strategy=self.strategy, start=part.get("start_time"), end=part.get("end_time")
            )
        content: list[dict[str, Any]] = []
        for frame in selection.frames:
            content += [{"type": "text", "text": f"{frame.timestamp:.1f} s:"}, {"type": "image", "url": frame.image}]
        return content

    def _session(self, path: str) -> VideoSession:
        if self._opened is None or self._opened[0] != path:
            if self._opened is not None:
                self._opened[1].close()
            self._opened = path, self.kframes.open(path)
        return self._opened[1]

    def _query(self, messages: Sequence[Message], document: Mapping[str, Any]) -> str:
        if self.query_field is not None:
            if self.query_field not in document:
                known = ", ".join(sorted(document))
                raise ValueError(f"the documents of this task have no field {self.query_field!r}; they have {known}")
            return str(document[self.query_field])
        for message in reversed(messages):
            if message.get("role") == "user":
                text = "\n".join(str(part["text"]) for part in _parts(message) if part.get("type") == "text").strip()
                if text:
                    return text
        raise ValueError("the task has no text that says what to look for; name a field of it, as query_field=question")


def _parts(message: Message) -> list[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _is_video(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "video"
