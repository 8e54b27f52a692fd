"""wrap: a processor whose chat template selects frames first, for hosts that call it themselves (pipelines ...)."""

from __future__ import annotations

from functools import cache
from typing import Any

from kframes_plugin.kframes import KFrames
from kframes_plugin.prompt.styles import Style
from kframes_plugin.query.spans import Time
from kframes_plugin.types import Strategy
from kframes_transformers.prepare import check_arguments, has_video, prepare, take_video_options


def wrap(
    processor: Any,
    kframes: KFrames,
    k: int = 8,
    *,
    query: str | None = None,
    strategy: Strategy | None = None,
    style: Style = "auto",
    start: Time | None = None,
    end: Time | None = None,
) -> Any:
    """A processor that does all the given one does, but replaces videos of a chat by their k frames.

    It shares tokenizer and image processor with the given one, which is not changed, and is an instance of its class.
    ``save_pretrained`` writes the plain processor, so ``AutoProcessor`` reads that back: wrap it again. It pickles
    where ``kframes`` does. Wrapping a wrapped processor replaces what it selects with.

    Args:
        processor: the processor of the answering model.
        kframes, k, query, strategy, style, start, end: as for :func:`prepare`, and checked here.

    Raises:
        TypeError, ValueError: as for :func:`prepare`.
    """
    plain = unwrap(processor)
    options: dict[str, Any] = {"query": query, "strategy": strategy, "style": style, "start": start, "end": end}
    check_arguments(plain, kframes, k, **options)
    family: Any = type(plain)
    return _like(plain, _selecting(family), _selects=(kframes, k, options))


def unwrap(processor: Any) -> Any:
    """The processor without kframes; one that is not wrapped comes back as it is."""
    if not isinstance(processor, Selecting):
        return processor
    plain = _like(processor, processor._family)
    del plain.__dict__["_selects"]
    return plain


class Selecting:
    """What a wrapped processor does before the class of its family."""

    _family: type
    _selects: tuple[KFrames, int, dict[str, Any]]

    def apply_chat_template(self, conversation: Any, *args: Any, **kwargs: Any) -> Any:
        """As the family's own, but the videos of the chat, or of every chat of a batch, are replaced first.

        Raises:
            ValueError: ``tokenize`` is off and there are videos: text alone would lose their frames.
        """
        chats = conversation if conversation and isinstance(conversation[0], list | tuple) else [conversation]
        if any(has_video(chat) for chat in chats):
            if not kwargs.get("tokenize"):
                raise ValueError("a wrapped processor replaces videos only with tokenize=True; for text, use prepare()")
            kframes, k, options = self._selects
            told, kwargs["processor_kwargs"] = take_video_options(kwargs, kwargs.get("processor_kwargs"))
            prepared = [prepare(chat, self, kframes, k, video_options=told, **options) for chat in chats]
            conversation = [p.messages for p in prepared] if chats is conversation else prepared[0].messages
            kwargs["processor_kwargs"] = _merged(kwargs.get("processor_kwargs"), [p.processor_kwargs for p in prepared])
        return super().apply_chat_template(conversation, *args, **kwargs)  # type: ignore[misc]

    def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        """Save the plain processor."""
        return unwrap(self).save_pretrained(*args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """The plain processor's settings."""
        settings: dict[str, Any] = unwrap(self).to_dict()
        return settings

    def __reduce__(self) -> Any:
        return _rebuilt, (unwrap(self), *self._selects)


def _rebuilt(plain: Any, kframes: KFrames, k: int, options: dict[str, Any]) -> Any:
    return wrap(plain, kframes, k, **options)


@cache
def _selecting(family: Any) -> type:
    """The subclass of one family; it has the family's name, since processors write their class's name to files."""
    names = {"_family": family, "__module__": family.__module__, "__doc__": family.__doc__}
    return type(family.__name__, (Selecting, family), names)


def _like(processor: Any, kind: type, **more: Any) -> Any:
    made: Any = object.__new__(kind)
    made.__dict__.update(processor.__dict__, **more)
    return made


def _merged(given: dict[str, Any] | None, prepared: list[dict[str, Any]]) -> dict[str, Any]:
    """The caller's processor arguments, and those of all chats of a batch: metadata is one flat list."""
    merged = dict(given or {})
    for kwargs in prepared:
        metadata = [*merged.get("video_metadata", []), *kwargs.get("video_metadata", [])]
        merged |= kwargs
        if metadata:
            merged["video_metadata"] = metadata
    return merged
