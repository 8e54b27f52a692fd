"""The task "video-text-to-text": ``pipeline(task, model, selector=kf, k=8)("match.mp4", "Who scored?")``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from transformers import AutoModelForImageTextToText, ImageTextToTextPipeline
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.base import Chat

from kframes_plugin.keyframes import check_request
from kframes_plugin.kframes import KFrames
from kframes_plugin.query.spans import check_range
from kframes_plugin.text import quoted
from kframes_plugin.types import Frame
from kframes_transformers.prepare import check_style, prepare, take_video_options

TASK = "video-text-to-text"
OURS = ("selector", "k", "query", "strategy", "style", "start", "end")
_NAMED = {  # arguments that the base class or apply_chat_template reads
    *("timeout", "continue_final_message", "processor_kwargs", "add_generation_prompt", "chat_template", "documents"),
    *("tools", "padding", "truncation", "max_length", "fps", "num_frames", "do_sample_frames", "load_audio_from_video"),
    *("return_assistant_tokens_mask", "tokenizer_kwargs", "images_kwargs", "videos_kwargs", "text_kwargs"),
}

Selector = KFrames | Callable[..., Any] | str


class VideoTextToTextPipeline(ImageTextToTextPipeline):  # type: ignore[misc]
    """Answers questions on videos with an image-text-to-text model that reads k selected frames.

    All of :class:`ImageTextToTextPipeline`, and these arguments, of the pipeline or of one call:

    * selector: a :class:`KFrames`, any callable ``(frames, query) -> clips``, or a name for
      :meth:`KFrames.from_pretrained`; its default model when not given.
    * k: frames a video, default 8.
    * query, strategy, style, start, end: as for :func:`kframes_transformers.prepare`.

    Every answer has, besides ``generated_text``, its ``selections``: one a video of the chat.
    """

    def __call__(self, videos: Any = None, text: Any = None, *, video: Any = None, **kwargs: Any) -> Any:
        """Answer.

        Args:
            videos: a path, or several; or a chat (or several) whose messages have video blocks.
            text: the question, or one a video; or the chat.
            video: another name of ``videos``.

        Raises:
            TypeError: an argument that nobody knows, or something that is no question.
            ValueError: a video without a question or the other way round, not as many questions as videos, or a chat
                and something beside it.
        """
        if video is not None and videos is not None:
            raise ValueError("pass the video once: pipe(video, question)")
        videos = video if videos is None else videos
        if _is_chat(videos):
            if text is not None:
                raise ValueError("a chat has its question in it: leave text out, or pass pipe(video, question)")
            return super().__call__(text=videos, **kwargs)
        if videos is None:
            if not _is_chat(text) and kwargs.get("images") is None:
                raise ValueError(f"pass a video too: pipe(video, question), or a chat; got only {quoted(text)}")
            return super().__call__(text=text, **kwargs)
        if text is None:
            raise ValueError("pass the question too: pipe(video, question), or a chat")
        many = not _is_one(videos)
        listed = list(videos) if many else [videos]
        questions = _questions(text, len(listed))
        if not listed:
            raise ValueError("there is no video in the list; pass at least one")
        if len(questions) != len(listed):
            raise ValueError(f"pass one question for each video; got {len(questions)} for {len(listed)} videos")
        chats = [_chat(video, question) for video, question in zip(listed, questions, strict=True)]
        return super().__call__(text=chats if many else chats[0], **kwargs)

    def _sanitize_parameters(self, **kwargs: Any) -> Any:
        ours = {name: kwargs.pop(name) for name in OURS if name in kwargs}
        self._check(ours)
        before, forward, after = super()._sanitize_parameters(**kwargs)
        for name in before.keys() - OURS - _NAMED:
            if not re.search(rf"\b{re.escape(name)}\b", str(getattr(self.processor, "chat_template", ""))):
                raise TypeError(
                    f"unknown argument {quoted(name)}; known are {', '.join(OURS)}, those of the base class and what "
                    "the model's chat template reads"
                )
        return before | ours, forward, after

    def _check(self, ours: dict[str, Any]) -> None:
        """Check arguments where they are given, and not when a video comes."""
        selector, rest = ours.get("selector"), {name: value for name, value in ours.items() if name != "selector"}
        if not (selector is None or isinstance(selector, KFrames | str) or callable(selector)):
            raise TypeError(f"selector must be a KFrames, a function, a name or None; got {quoted(selector)}")
        check_request("-" if rest.get("query") is None else rest["query"], rest.get("k", 8), rest.get("strategy"))
        check_range(rest.get("start"), rest.get("end"))
        check_style(rest.get("style", "auto"), self.processor)

    def preprocess(self, inputs: Any = None, timeout: float | None = None, **kwargs: Any) -> Any:
        """Replace the videos, then as the base class."""
        ours = {name: kwargs.pop(name) for name in OURS if name in kwargs}
        if not isinstance(inputs, Chat):
            return super().preprocess(inputs, timeout=timeout, **kwargs)
        kframes = self._kframes(ours.pop("selector", None))
        told, rest = take_video_options(kwargs, kwargs.get("processor_kwargs"))
        prepared = prepare(inputs.messages, self.processor, kframes, video_options=told, **ours)
        kwargs["processor_kwargs"] = {**rest, **prepared.processor_kwargs}
        model_inputs = super().preprocess(Chat(prepared.messages), timeout=timeout, **kwargs)
        model_inputs["text"] = inputs  # the chat as it was asked, in the answer too
        model_inputs["selections"] = prepared.selections
        return model_inputs

    def _forward(self, model_inputs: Any, generate_kwargs: dict[str, Any] | None = None) -> Any:
        selections = model_inputs.pop("selections", [])
        return super()._forward(model_inputs, generate_kwargs) | {"selections": selections}

    def postprocess(self, model_outputs: Any, *args: Any, **kwargs: Any) -> Any:
        """As the base class, with the selections."""
        selections = model_outputs.pop("selections")
        return [output | {"selections": selections} for output in super().postprocess(model_outputs, *args, **kwargs)]

    def _kframes(self, selector: Selector | None) -> KFrames:
        if isinstance(selector, KFrames):
            return selector
        if selector is not None and not isinstance(selector, str):
            return KFrames(selector)
        loaded: dict[str | None, KFrames] = self.__dict__.setdefault("_loaded_selectors", {})
        if selector not in loaded:
            loaded[selector] = KFrames.from_pretrained() if selector is None else KFrames.from_pretrained(selector)
        return loaded[selector]


def register() -> None:
    """Make the task known to ``transformers.pipeline``; doing it twice does no harm."""
    if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
        PIPELINE_REGISTRY.register_pipeline(
            TASK, pipeline_class=VideoTextToTextPipeline, pt_model=(AutoModelForImageTextToText,), type="multimodal"
        )


def _chat(video: Any, question: str) -> list[dict[str, Any]]:
    content = [{"type": "video", "video": video}, {"type": "text", "text": question}]
    return [{"role": "user", "content": content}]


def _questions(text: Any, count: int) -> list[str]:
    questions = [text] * count if isinstance(text, str) else list(text) if isinstance(text, list | tuple) else [text]
    for question in questions:
        if not isinstance(question, str):
            raise TypeError(f"a question must be a text; got {quoted(question)} ({type(question).__name__})")
    return questions


def _is_chat(videos: Any) -> bool:
    first = videos[0] if isinstance(videos, list | tuple) and videos else None
    return isinstance(first, dict) or (isinstance(first, list | tuple) and bool(first) and isinstance(first[0], dict))


def _is_one(videos: Any) -> bool:
    """A path, an opened video or a list of frames."""
    if isinstance(videos, list | tuple):
        return bool(videos) and isinstance(videos[0], Frame)
    return isinstance(videos, str | os.PathLike | bytes | bytearray | memoryview | Mapping) or not hasattr(
        videos, "__len__"
    )
