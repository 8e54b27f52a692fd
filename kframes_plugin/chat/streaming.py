"""Server-sent events of a chat completion: pieces of an answer as they come, and at the end the whole of it."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any

OnText = Callable[[str], None]


class EventReader:
    """Reads the events of one answer, whatever pieces their bytes come in.

    Attributes:
        told: whether a piece of the answer was handed on.
    """

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self.reset()

    def reset(self) -> None:
        """Begin a new answer."""
        self.told = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._message: dict[str, str] = {}
        self._choice: dict[str, Any] = {}
        self._usage: Any = None

    def feed(self, data: bytes) -> None:
        """Read more bytes and hand on what they say."""
        self._rest += self._decoder.decode(data)
        *lines, self._rest = self._rest.split("\n")
        for event in _events(lines):
            self._read(event)

    def completion(self) -> dict[str, Any]:
        """What the server would have answered without streaming.

        Raises:
            KeyError: no event held a choice.
        """
        if not self._choice:
            raise KeyError("choices")
        message = {"content": None, **self._message}
        return {"choices": [{**self._choice, "message": message}], "usage": self._usage}

    def _read(self, event: dict[str, Any]) -> None:
        self._usage = event.get("usage") or self._usage
        for choice in event.get("choices") or ():
            self._choice = {"finish_reason": choice.get("finish_reason") or self._choice.get("finish_reason")}
            for name, piece in (choice.get("delta") or {}).items():
                if isinstance(piece, str) and name != "role":
                    self._message[name] = self._message.get(name, "") + piece
                    if name == "content" and piece:
                        self.told = True
                        self._on_text(piece)


def _events(lines: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of data lines; comments, other fields and the closing [DONE] are passed over.

    Raises:
        ValueError, RecursionError: a data line is no JSON.
    """
    for line in lines:
        name, _, value = line.strip().partition(":")
        if name == "data" and value.strip() not in ("", "[DONE]"):
            found = json.loads(value)
            if isinstance(found, dict):
                yield found
