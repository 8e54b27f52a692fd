"""Where servers differ: fields they refuse, refusals that look like answers, thoughts beside the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kframes_plugin.text import printable

Fields = dict[str, Any]


def adapt(body: Mapping[str, Any], status: int, said: str) -> Fields | None:
    """What a server that refuses a request wants changed in it.

    Args:
        body: of the request.
        status: of the response.
        said: the server's own words.

    Returns:
        New values of fields, None for one to be left out; None where the refusal names no field that can be changed.
    """
    words = said.lower()
    if status not in (400, 422):
        return None
    if "max_tokens" in body and "max_completion_tokens" in words:  # OpenAI's reasoning models
        return {"max_tokens": None, "max_completion_tokens": body["max_tokens"]}
    for name, marks in _OPTIONAL.items():
        if name in body and any(mark in words for mark in marks):
            return {name: None}
    return None


_OPTIONAL = {
    "temperature": ("temperature",),
    "stream_options": ("stream_options",),
    "response_format": ("response_format", "json_schema", "json mode", "structured output"),
    "seed": ("'seed'", '"seed"', "`seed`", "parameter: seed"),
}


@dataclass(frozen=True)
class Content:
    """What a choice of a chat completion holds.

    Attributes:
        text: the answer; where a server put all of it among the thoughts, those.
        finish: why it ends, or None.
        thought_only: no answer was written after the thoughts.
    """

    text: str
    finish: str | None
    thought_only: bool


class Refused(Exception):
    """The model or a filter before it declined; the message says which."""


def read_choice(choice: Mapping[str, Any]) -> Content:
    """The content of one choice.

    Raises:
        Refused: it is a refusal.
        KeyError, TypeError, AttributeError: it is no choice of a chat completion.
    """
    message = choice["message"]
    content, finish = message["content"], choice.get("finish_reason")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if not content and message.get("refusal"):
        raise Refused(f"the model refused: {printable(' '.join(str(message['refusal']).split()))[:300]}")
    if finish == "content_filter":
        raise Refused("its content filter stopped the answer")
    if content:
        return Content(str(content), finish, False)
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    return Content(thoughts if isinstance(thoughts, str) else "", finish, bool(thoughts))


def is_filtered(status: int, said: str) -> bool:
    """Whether a request was refused by a content filter."""
    words = said.lower()
    return status in (400, 403) and ("content_filter" in words or "content management policy" in words)
