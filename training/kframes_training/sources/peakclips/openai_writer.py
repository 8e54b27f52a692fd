"""A language model behind any OpenAI-compatible endpoint (vLLM, SGLang, `transformers serve`, OpenAI, Gemini ...)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urldefrag

import openai
from openai import AsyncOpenAI

from kframes_plugin.chat.client import KEYS
from kframes_plugin.chat.dialects import adapt
from kframes_plugin.chat.images import with_data_urls
from kframes_training.sources.peakclips.annotator import (
    AnnotatorError,
    Completion,
    ItemError,
    Messages,
    UnansweredError,
)

FAILURES = 20  # requests that fail on end, retries and all, before the server is given up


class OpenAIWriter:
    """Chat completions, at most ``concurrency`` at a time. To be used from one event loop.

    Args:
        url: base URL with the model's name after a #, as "http://localhost:8000/v1#Qwen/Qwen2.5-VL-7B-Instruct".
        concurrency: requests under way together, >= 1.
        max_tokens: longest answer, tokens.
        seed: sent to the server and part of every answer's address: another seed asks anew.
        temperature: 0 for the likeliest answer.
        json_schema: send the form of the answer as ``response_format``; servers that do not know it may refuse.
        timeout: seconds to wait for an answer.
        retries: of a request that found no server, a busy or a broken one, with growing pauses.
        options: more fields of the request.

    Raises:
        AnnotatorError: the URL names no model.
    """

    def __init__(
        self,
        url: str,
        *,
        concurrency: int = 8,
        max_tokens: int = 2048,
        seed: int = 0,
        temperature: float = 0.0,
        json_schema: bool = True,
        timeout: float = 300.0,
        retries: int = 5,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        base, self.model = urldefrag(url)
        if not self.model:
            raise AnnotatorError(f'{base} names no model; add its name after a #, as "{base}#model"')
        self.url, self.json_schema = base, json_schema
        self.fields = {
            "max_tokens": max_tokens,
            "seed": seed,
            "temperature": temperature,
            **(options if options is not None else {}),
        }
        decided = {**self.fields, "json_schema": json_schema}
        self.id = f"{url} " + " ".join(f"{name}={value}" for name, value in sorted(decided.items()))
        key = next((os.environ[name] for name in KEYS if os.environ.get(name)), "none")
        self._learned: dict[str, Any] = {}  # what this server wants otherwise
        self._client = AsyncOpenAI(base_url=base, api_key=key.strip(), timeout=timeout, max_retries=retries)
        self._failures = 0  # requests on end
        self._turn = asyncio.Semaphore(concurrency)

    async def write(self, messages: Messages, form: dict[str, Any], name: str) -> Completion:
        """One chat completion.

        Raises:
            ItemError: the server refuses this request.
            UnansweredError: it failed at this request, with all retries.
            AnnotatorError: it cannot be reached, lets nobody in, does not know the model, or fails at every request.
        """
        fields = dict(self.fields)
        if self.json_schema:
            about = {"name": name, "schema": form, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": about}
        sent: Any = with_data_urls(messages)
        async with self._turn:
            try:
                raw = await self._create(sent, fields)
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise AnnotatorError(
                    f"{self.url} refuses ({_said(error)}); check the model's name and {KEYS[0]}"
                ) from error
            except openai.APIStatusError as error:
                if error.status_code >= 500 or error.status_code == 429:
                    raise self._failure(_said(error)) from error
                raise ItemError(f"the server refuses the request ({_said(error)})") from error
            except openai.APITimeoutError as error:
                raise self._failure(f"no answer within {self._client.timeout:g} s") from error
            except openai.APIConnectionError as error:
                raise AnnotatorError(f"cannot reach {self.url} ({_said(error)}); is the server running?") from error
        self._failures = 0
        return self._completion(raw)

    def _failure(self, why: str) -> ItemError | AnnotatorError:
        """One request that failed with all its retries; many on end are a server that does not work."""
        self._failures += 1
        if self._failures >= FAILURES:
            return AnnotatorError(
                f"{self.url} failed at {FAILURES} requests in a row ({why}); run the build again later"
            )
        return UnansweredError(f"the server failed at this request repeatedly ({why})")

    async def _create(self, messages: Any, fields: dict[str, Any]) -> Any:
        """The response; fields that the server refuses by name are changed, once each, and so from then on."""
        while True:
            wanted = {name: value for name, value in {**fields, **self._learned}.items() if value is not None}
            try:
                return await self._client.chat.completions.with_raw_response.create(
                    model=self.model, messages=messages, **wanted
                )
            except openai.APIStatusError as error:
                changed = adapt(wanted, error.status_code, str(error.message))
                if changed is None:
                    raise
                self._learned.update(changed)

    async def aclose(self) -> None:
        """Close the connections to the server."""
        await self._client.close()

    def _completion(self, raw: Any) -> Completion:
        answer = raw.parse()
        if not getattr(answer, "choices", None):
            raise ItemError(f"{self.url} did not answer like a chat endpoint")
        choice, usage = answer.choices[0], answer.usage
        return Completion(
            choice.message.content or "",
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
            1 + raw.retries_taken,
            choice.finish_reason == "length",
        )


def _said(error: openai.APIError) -> str:
    status = getattr(error, "status_code", None)
    return f"{status}: {' '.join(str(error.message).split())[:200]}" if status else f"{type(error).__name__}: {error}"
