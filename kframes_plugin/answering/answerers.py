"""Answering models, chat messages with frames -> text: one of transformers, or one behind a server."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kframes_plugin.chat.client import ChatClient, Reply
from kframes_plugin.chat.options import check_options
from kframes_plugin.chat.streaming import OnText
from kframes_plugin.errors import AnswererError, SelectorError, needs_extra
from kframes_plugin.prompt import Messages
from kframes_plugin.types import Cost

LONGEST = 512  # tokens of an answer of a model of transformers


class Answerer(ABC):
    """A model that answers from chat messages whose content may be ``{"type": "image", "image": PIL}``.

    Attributes:
        name: of the model.
    """

    name: str

    @abstractmethod
    def answer(self, messages: Messages, on_text: OnText | None = None) -> Reply:
        """The answer, with what it cost; ``on_text`` is called with each piece of it as it comes.

        Raises:
            AnswererError: it cannot answer.
        """


class RemoteAnswerer(Answerer):
    """A model behind an OpenAI-compatible chat endpoint."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Name the server.

        Args:
            url: "http(s)://HOST/v1#MODEL".
            options: fields of :class:`~kframes_plugin.chat.client.ChatClient`, as ``{"max_tokens": 4000}``.

        Raises:
            AnswererError: no such URL.
            ValueError: an unknown option.
        """
        with _as_answerer():
            self._client = ChatClient.from_url(url, **check_options(ChatClient, options, without=("url", "model")))
        self.name = url

    def answer(self, messages: Messages, on_text: OnText | None = None) -> Reply:
        """See :meth:`Answerer.answer`."""
        with _as_answerer():
            return self._client.chat(messages, shown=_count_images(messages), on_text=on_text)


class TransformersAnswerer(Answerer):
    """An image-text-to-text model of transformers, loaded once."""

    def __init__(self, name: str, *, device: str | None = None, dtype: str = "auto", longest: int = LONGEST) -> None:
        """Load a model.

        Args:
            name: hub id, directory, or directory of a PEFT adapter.
            device, dtype: as for :meth:`KFrames.from_pretrained`.
            longest: tokens of an answer, >= 1.

        Raises:
            AnswererError: it cannot be loaded.
        """
        with _as_answerer(), needs_extra("torch", f"the answerer {name!r}"):
            from kframes_plugin.mllm.load import load

            loaded = load(name, device=device, dtype=dtype)
            self._model, self._processor = loaded.model, loaded.processor
        self.name, self._longest = name, longest

    def answer(self, messages: Messages, on_text: OnText | None = None) -> Reply:
        """See :meth:`Answerer.answer`."""
        import torch

        from kframes_plugin.mllm.generate import write

        inputs = self._processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(self._model.device, dtype=self._model.dtype)
        try:
            written = write(self._model, self._processor, inputs, self._longest, on_text)[0]
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            count = _count_images(messages)
            raise AnswererError(f"the GPU has not enough memory for {count} frames; lower k or frame_size") from error
        cost = Cost(model_calls=1, tokens_in=inputs["input_ids"].shape[1], tokens_out=written.tokens)
        return Reply(written.text, not written.finished, cost)


def load_answerer(
    name: str | os.PathLike[str], *, device: str | None = None, server: Mapping[str, Any] | None = None
) -> Answerer:
    """The answerer of a name.

    Args:
        name: "http(s)://HOST/v1#MODEL" (an OpenAI-compatible server; key from KFRAMES_API_KEY or OPENAI_API_KEY);
            otherwise a transformers id or directory, or the directory of a PEFT adapter.
        device: of a model of transformers; None: the GPU where there is one.
        server: options of one behind a URL, fields of :class:`~kframes_plugin.chat.client.ChatClient`.

    Raises:
        AnswererError: it cannot be loaded; the message says what to do.
        ValueError: options for a model that has none, or unknown ones.
    """
    name = os.fspath(name)
    if name.startswith(("http://", "https://")):
        return RemoteAnswerer(name, {} if server is None else server)
    if server:
        raise ValueError(f"server= is for answerers behind an http(s) URL; {name!r} is not one: leave it out")
    return TransformersAnswerer(name, device=device)


@contextmanager
def _as_answerer() -> Iterator[None]:
    """What the parts shared with selectors raise, said as an answerer's error."""
    try:
        yield
    except SelectorError as error:
        raise AnswererError(str(error)) from error


def _count_images(messages: Messages) -> int:
    return sum(item["type"] == "image" for message in messages for item in message["content"])
