"""The one client of OpenAI-compatible chat endpoints: vLLM, SGLang, `transformers serve`, OpenAI, Gemini ...

Pictures go as JPEG data URLs, in the one form that every such server reads.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from kframes_plugin.cancellation import wait
from kframes_plugin.chat.dialects import Content, Refused, adapt, is_filtered, read_choice
from kframes_plugin.chat.images import with_data_urls
from kframes_plugin.chat.streaming import EventReader, OnText
from kframes_plugin.errors import SelectorError
from kframes_plugin.http import LONGEST_ANSWER, AnswerTooLarge, OutOfTime, is_stream, post
from kframes_plugin.prompt import Messages
from kframes_plugin.text import printable
from kframes_plugin.types import Cost

KEYS = ("KFRAMES_API_KEY", "OPENAI_API_KEY")  # the first one that is set
LONGEST_WAIT = 60.0  # seconds before a retry; a server that asks for more is not waited for

_OUT_OF_MONEY = "insufficient_quota"  # OpenAI's 429 that no waiting mends
_RETRIED = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes:
        text: of the answer.
        cut_off: whether it ends where max_tokens was reached.
        cost: requests and tokens.
    """

    text: str
    cut_off: bool
    cost: Cost


@dataclass(frozen=True, eq=False)
class ChatClient:
    """A model behind a chat endpoint.

    Attributes:
        url: base URL, as "http://localhost:8000/v1".
        model: the model's name on that server.
        api_key: sent as bearer token to that host only; None: the environment's KFRAMES_API_KEY or OPENAI_API_KEY.
        max_tokens: longest answer, tokens.
        timeout: seconds to wait for the server's next bytes, > 0.
        total_timeout: seconds for a request and all of its answer, > 0.
        max_bytes: of an answer, decompressed, > 0.
        retries: how often a failed request is sent again, >= 0: when the server cannot be reached, is busy (429) or
            breaks (5xx).
        backoff: seconds before the first retry; doubled each time, times .5 to 1.5 at random. A server's Retry-After
            goes first.
        quality: of the JPEGs, 1 to 95.
        options: more fields of the request; None removes one, as {"max_tokens": None, "max_completion_tokens": 900}.

    Raises:
        SelectorError: url is no http(s) URL, or contains a password.
    """

    url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int = 1024
    timeout: float = 120.0
    total_timeout: float = 600.0
    max_bytes: int = LONGEST_ANSWER
    retries: int = 4
    backoff: float = 0.5
    quality: int = 85
    options: Mapping[str, Any] = field(default_factory=dict)
    _learned: dict[str, Any] = field(default_factory=dict, init=False, repr=False)  # what this server wants otherwise

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            httpx.URL(self.url)
        except (ValueError, httpx.InvalidURL) as error:
            raise SelectorError(f"the server's URL {self.url!r} is not valid: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SelectorError(
                f'the server must be an http(s) URL, such as "http://localhost:8000/v1"; got {self.url!r}'
            )
        if "@" in parts.netloc:
            raise SelectorError(f"the URL of {parts.hostname} contains a password; set {KEYS[0]} instead")

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """``from_url("http://localhost:8000/v1#Qwen/Qwen2.5-VL-3B-Instruct")``: the model's name follows the #."""
        base, _, model = url.partition("#")
        if not model:
            raise SelectorError(f'{base} names no model; add its name after a #, as "{base}#model"')
        return cls(base, model, **options)

    def chat(self, messages: Messages, *, shown: int, on_text: OnText | None = None) -> Reply:
        """What the server answers to chat messages; PIL images in them are sent as JPEGs.

        Args:
            messages: as :meth:`Selection.to_messages` has them.
            shown: how many frames they hold, for messages of errors.
            on_text: called with each piece of the answer as it comes, from a server that streams; else with all of it.

        Raises:
            SelectorError: the server cannot be reached, refuses, or does not answer like a chat endpoint.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": with_data_urls(messages, quality=self.quality),
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "stream": on_text is not None,
            **({} if on_text is None else {"stream_options": {"include_usage": True}}),
            **self.options,
        }
        events = None if on_text is None else EventReader(on_text)
        response, requests = self._post(body, shown, events)
        content, usage = self._answer(response, events)
        if on_text is not None and events is not None and not events.told and content.text:
            on_text(content.text)
        details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
        cost = Cost(
            model_calls=requests,
            tokens_in=_count(usage, "prompt_tokens"),
            tokens_out=_count(usage, "completion_tokens"),
            tokens_cached=_count(details, "cached_tokens"),
        )
        if content.thought_only and content.finish == "length":
            raise SelectorError(
                f"{self.model!r} spent all {self.max_tokens} tokens on thinking and wrote no answer; raise max_tokens"
            )
        return Reply(content.text, content.finish == "length", cost)

    def _key(self) -> str:
        """The API key; empty where there is none."""
        key = (self.api_key or next((os.environ[name] for name in KEYS if os.environ.get(name)), "")).strip()
        if not (key.isascii() and key.isprintable()):  # said here, for the HTTP library would show it
            raise SelectorError(
                f"the API key for {self.url} contains characters that no key can have; set {KEYS[0]} again"
            )
        return key

    def _post(self, body: dict[str, Any], shown: int, events: EventReader | None) -> tuple[httpx.Response, int]:
        """The good response, after as many requests as it took."""
        endpoint = self.url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        key = self._key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        requests = 0
        with httpx.Client(timeout=self.timeout, headers=headers, follow_redirects=False) as client:
            attempt = 0
            while True:
                sent = {name: value for name, value in {**body, **self._learned}.items() if value is not None}
                outcome = self._send(client, endpoint, sent, events)
                requests += 1
                if isinstance(outcome, httpx.Response):
                    wanted = adapt(sent, outcome.status_code, self._said(outcome))
                    if wanted is not None:  # each field once, so this ends
                        self._learned.update(wanted)
                        continue
                    if outcome.status_code not in _RETRIED or _OUT_OF_MONEY in outcome.text:
                        break
                seconds = self._wait(attempt, outcome)
                if attempt == self.retries or seconds > LONGEST_WAIT:
                    break
                attempt += 1
                wait(seconds)
        if not isinstance(outcome, httpx.Response):
            why = f"{type(outcome).__name__}: {outcome}"
            raise SelectorError(
                f"cannot reach {self.url} ({why}); is the server running, and is the URL right?"
            ) from outcome
        if not outcome.is_success:
            raise SelectorError(self._refusal(outcome, shown, attempt + 1))
        return outcome, requests

    def _send(
        self, client: httpx.Client, endpoint: str, body: dict[str, Any], events: EventReader | None
    ) -> httpx.Response | httpx.RequestError:
        if events is not None:
            events.reset()
        on_event = None if events is None else events.feed
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
        try:
            return post(client, endpoint, data, seconds=self.total_timeout, max_bytes=self.max_bytes, on_event=on_event)
        except (httpx.ReadTimeout, OutOfTime) as error:  # sent again it would take as long again
            option = "total_timeout" if isinstance(error, OutOfTime) else "timeout"
            raise SelectorError(
                f"{self.url} did not answer within {getattr(self, option):g} s; raise {option}, or lower candidates"
            ) from error
        except (AnswerTooLarge, httpx.DecodingError) as error:
            raise SelectorError(f"{self.url} does not answer like a chat endpoint: {error}") from error
        except (ValueError, RecursionError, AttributeError) as error:
            raise SelectorError(f"{self.url} sends events that are not those of a chat endpoint: {error}") from error
        except httpx.RequestError as error:
            if events is not None and events.told:  # sent again, its first words would come twice
                raise SelectorError(f"{self.url} broke off in the middle of its answer ({error})") from error
            return error

    def _wait(self, attempt: int, outcome: httpx.Response | httpx.RequestError) -> float:
        """Seconds until the next request: what the server asks for, else exponential with jitter."""
        asked = _seconds(outcome.headers.get("retry-after")) if isinstance(outcome, httpx.Response) else None
        if asked is not None:
            return asked
        return float(min(self.backoff * 2**attempt, LONGEST_WAIT / 2) * random.uniform(0.5, 1.5))

    def _refusal(self, response: httpx.Response, shown: int, requests: int) -> str:
        """What an error status means and what to do."""
        status, said = response.status_code, self._said(response)
        if status in (401, 403):
            which = "the given api_key" if self.api_key else next((k for k in KEYS if os.environ.get(k)), None)
            fix = f"check {which}" if which else f"no key was sent: set {KEYS[0]} (or {KEYS[1]})"
            return f"{self.url} denies access ({status}: {said}); {fix}"
        if status == 404:
            return f"{self.url} has no model {self.model!r}, or no /chat/completions ({said}); check both"
        if is_filtered(status, response.text):
            return f"the content filter of {self.url} refused the request ({status}: {said}); other frames may pass"
        if _OUT_OF_MONEY in response.text:
            return f"the account at {self.url} has no credit left ({status}: {said})"
        if response.is_redirect:
            return f"{self.url} redirects to {response.headers.get('location')}; use that URL if you trust it"
        if status == 413 or (
            status < 500 and any(word in said.lower() for word in ("context", "too long", "too large"))
        ):
            return f"{shown} frames are too much for {self.model!r} ({status}: {said}); lower candidates or frame_size"
        return f"{self.url} answered with an error, request {requests} of {self.retries + 1} ({status}: {said})"

    def _said(self, response: httpx.Response) -> str:
        """The server's own words, in one short line, without our key."""
        try:
            row = response.json()
            error = row.get("error", row.get("detail", row.get("message")))
            said = error.get("message") if isinstance(error, dict) else error
        except (ValueError, AttributeError, RecursionError):
            said = response.text
        line = printable(" ".join(str(said or response.reason_phrase).split()))[:300]
        return line.replace(self._key(), "***") if self._key() else line

    def _answer(self, response: httpx.Response, events: EventReader | None) -> tuple[Content, Any]:
        """The content and the token counts of a chat completion."""
        try:
            row = events.completion() if events is not None and is_stream(response) else response.json()
            return read_choice(row["choices"][0]), row.get("usage")
        except Refused as error:
            raise SelectorError(f"{self.url} gives no answer: {error}") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise SelectorError(
                f"{self.url} does not answer like an OpenAI-compatible chat endpoint: {self._said(response)[:120]!r}; "
                "is this the base URL, ending in /v1 on most servers?"
            ) from error


def _count(usage: Any, name: str) -> int:
    """A token count of a response, 0 where the server does not say."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else 0


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After, seconds or a date -> seconds from now, >= 0; None where there is none or it makes no sense."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
