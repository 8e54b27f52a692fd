"""prepare: a chat with videos -> the same chat with selected frames, right for one processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from kframes_plugin.agents.video_block import is_video_block, select_block
from kframes_plugin.keyframes import check_request, log_notes
from kframes_plugin.kframes import KFrames
from kframes_plugin.prompt.styles import STYLES, Style, style_of, takes_video
from kframes_plugin.query.follow_up import complete_question
from kframes_plugin.query.spans import Time, check_range
from kframes_plugin.selection import Selection
from kframes_plugin.text import quoted
from kframes_plugin.types import Note, Strategy

Message = dict[str, Any]


class Prepared(NamedTuple):
    """What :func:`prepare` gives.

    Attributes:
        messages: the chat with the selected frames in place of every video.
        processor_kwargs: for ``processor.apply_chat_template(messages, processor_kwargs=..., ...)``.
        selections: one a video, in their order.
    """

    messages: list[Message]
    processor_kwargs: dict[str, Any]
    selections: list[Selection]


def prepare(
    messages: Sequence[Message],
    processor: Any,
    kframes: KFrames,
    k: int = 8,
    *,
    query: str | None = None,
    strategy: Strategy | None = None,
    style: Style = "auto",
    start: Time | None = None,
    end: Time | None = None,
    video_options: Mapping[str, Any] | None = None,
    transcript: bool = False,
) -> Prepared:
    """Replace every video of a chat by its k frames for the question, in the form the processor reads right.

    Args:
        messages: a chat; its video blocks are ``{"type": "video", "video": path}`` ("path" and "url" will do).
            It is not changed.
        processor: the processor of the answering model.
        kframes: the selector.
        k: frames for each video, >= 1.
        query: what is looked for; the last text of the user when None, together with the earlier question from which it
            goes on ("and after that?"): see :func:`~kframes_plugin.query.follow_up.complete_question`.
        strategy: as for :meth:`KFrames.select`.
        style: "auto" is the one of the processor's family, see ``kframes_plugin/prompt/styles.py``.
        start, end: look only here, as for :meth:`KFrames.select`.
        video_options: keys of every video block that does not say otherwise, as ``{"fps": 1}``; see
            :func:`~kframes_plugin.agents.video_block.select_block`.
        transcript: put the lines that are spoken near the frames after them.

    Raises:
        TypeError: no chat, no processor of a multimodal model, no KFrames.
        ValueError: no query, an unknown style, or one that the processor has no place for; a video that cannot be
            understood as one.
        VideoError, SelectorError: as for :meth:`KFrames.select`.
    """
    chosen = check_arguments(processor, kframes, k, query=query, strategy=strategy, style=style, start=start, end=end)
    _check_chat(messages)
    if not has_video(messages):
        return Prepared(list(messages), {}, [])
    looked_for, notes = _read_question(messages) if query is None else (query, ())
    written: list[Message] = []
    metadata: list[dict[str, Any]] = []
    selections: list[Selection] = []
    for message in messages:
        if not has_video([message]):
            written.append(message)
            continue
        content: list[dict[str, Any]] = []
        for block in message["content"]:
            if not is_video_block(block):
                content.append(block)
                continue
            selection = select_block(
                kframes, {**(video_options or {}), **block}, looked_for, k, strategy=strategy, start=start, end=end
            )
            log_notes(selection.video, notes)
            selection = replace(selection, notes=(*notes, *selection.notes))
            blocks, described = STYLES[chosen](selection.frames, selection.duration, selection.clips)
            content += blocks
            if transcript and (text := selection.transcript_text()):
                content.append({"type": "text", "text": text})
            metadata += described
            selections.append(selection)
        written.append({**message, "content": content})
    kwargs = {"do_sample_frames": False, "video_metadata": metadata} if metadata else {}
    return Prepared(written, kwargs, selections)


def _read_question(messages: Sequence[Message]) -> tuple[str, tuple[Note, ...]]:
    """What the user looks for now, and a note where an earlier question is part of it."""
    texts = user_texts(messages)
    if not texts:
        raise ValueError("the chat has no text of the user that says what to look for; add one or pass query=")
    text, earlier = complete_question(texts)
    said = f'reads "{texts[-1]}" together with the earlier question "{earlier}"'
    return text, (Note("question-earlier", said),) if earlier else ()


def user_texts(messages: Sequence[Message]) -> list[str]:
    """The texts of the user's messages that have any, the last one last."""
    texts = []
    for message in messages:
        content = message.get("content") if message.get("role") == "user" else None
        said = [content] if isinstance(content, str) else []
        if content is not None:
            said += [
                str(block["text"])
                for block in _blocks(message)
                if block.get("type", "text") == "text" and "text" in block
            ]
        texts.append("\n".join(said).strip())
    return [text for text in texts if text]


def has_video(messages: Sequence[Message]) -> bool:
    """Whether any message has a video block."""
    return any(is_video_block(block) for message in messages for block in _blocks(message))


def check_arguments(
    processor: Any,
    kframes: Any,
    k: int = 8,
    *,
    query: str | None = None,
    strategy: Strategy | None = None,
    style: Style = "auto",
    start: Time | None = None,
    end: Time | None = None,
) -> Style:
    """Check what :func:`prepare` and ``wrap`` are told, before any video is seen; returns the style.

    Raises:
        TypeError, ValueError: with the value and the rule.
    """
    check_processor(processor)
    if not isinstance(kframes, KFrames):
        raise TypeError(f"kframes must be a KFrames, such as KFrames.from_pretrained() returns; got {quoted(kframes)}")
    check_request("-" if query is None else query, k, strategy)
    check_range(start, end)
    return check_style(style, processor)


def check_processor(processor: Any) -> None:
    """TypeError for anything but the processor of a multimodal model: a name, a tokenizer, a model, None."""
    able = callable(getattr(processor, "apply_chat_template", None))
    sees = any(getattr(processor, name, None) is not None for name in ("image_processor", "video_processor"))
    if not (able and sees):
        raise TypeError(
            "processor must be that of a multimodal model, such as AutoProcessor.from_pretrained(name) returns; got "
            f"{quoted(processor, 60)} ({type(processor).__name__})"
        )


def _check_chat(messages: Any) -> None:
    """TypeError or ValueError where a chat, a message or its content is none, and videos in it would be passed over."""
    if not isinstance(messages, list | tuple):
        raise TypeError(f"messages must be a list of messages; got {quoted(messages)}")
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise TypeError(f'a message must be {{"role": ..., "content": ...}}; got {quoted(message)}')
        content = message.get("content")
        if content is not None and not isinstance(content, str | list | tuple):
            raise TypeError(f"the content of a message must be a text or a list of blocks; got {quoted(content)}")
        for block in content if isinstance(content, list | tuple) else ():
            if not isinstance(block, Mapping | str):
                raise TypeError(f'a block must be {{"type": ..., ...}}; got {quoted(block)}')


def check_style(style: Style, processor: Any) -> Style:
    """The style for a processor; ValueError for an unknown one, or one that it has no place for."""
    if style == "auto":
        return style_of(processor)
    if not isinstance(style, str) or style not in STYLES:
        raise ValueError(f'style must be "auto" or one of {", ".join(STYLES)}; got {quoted(style)}')
    if style != "interleaved" and not takes_video(processor):
        raise ValueError(
            f"{type(processor).__name__} or its chat template has no place for videos, so style {style!r} cannot be "
            'written; use style="interleaved"'
        )
    return style


def _blocks(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list | tuple) else []


def take_video_options(
    kwargs: dict[str, Any], processor_kwargs: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a host was told about the frames of videos, taken out of its arguments; and the other processor arguments.

    Args:
        kwargs: of ``apply_chat_template``; ``fps`` and ``num_frames`` are taken out of it.
        processor_kwargs: the same may stand here, and under ``videos_kwargs``.
    """
    told: dict[str, Any] = {}
    rest = dict(processor_kwargs or {})
    videos = dict(rest.pop("videos_kwargs", None) or {})
    for arguments in (videos, rest, kwargs):
        told |= {key: arguments.pop(key) for key in ("fps", "num_frames") if key in arguments}
    return told, {**rest, "videos_kwargs": videos} if videos else rest
