"""The task "video-text-to-text": ``pipeline(task, model, selector=kf, k=8)("match.mp4", "Who scored?")``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from transformers import AutoModelForImageTextToText, ImageTextToTextPipeline
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.base import Chat

from kframes_plugin.kframes import KFrames
from kframes_plugin.types import Frame
from kframes_transformers.prepare import prepare, take_video_options

TASK = "video-text-to-text"
OURS = ("selector", "k", "query", "strategy", "style", "start", "end")

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

    def __call__(self, videos: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """Answer.

        Args:
            videos: a path, or several; or a chat (or several) whose messages have video blocks.
            text: the question, or one a video; or the chat.

        Raises:
            ValueError: a video without a question, or not as many questions as videos.
        """
        if videos is None or _is_chat(videos):
            return super().__call__(text=text if videos is None else videos, **kwargs)
        if text is None:
            raise ValueError("pass the question too: pipe(video, question), or a chat")
        many = not _is_one(videos)
        listed = list(videos) if many else [videos]
        questions = [text] * len(listed) if isinstance(text, str) else list(text)
        if len(questions) != len(listed):
            raise ValueError(f"pass one question for each video; got {len(questions)} for {len(listed)} videos")
        chats = [_chat(video, question) for video, question in zip(listed, questions, strict=True)]
        return super().__call__(text=chats if many else chats[0], **kwargs)

    def _sanitize_parameters(self, **kwargs: Any) -> Any:
        ours = {name: kwargs.pop(name) for name in OURS if name in kwargs}
        before, forward, after = super()._sanitize_parameters(**kwargs)
        return before | ours, forward, after

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


def _is_chat(videos: Any) -> bool:
    first = videos[0] if isinstance(videos, list | tuple) and videos else None
    return isinstance(first, dict) or (isinstance(first, list | tuple) and bool(first) and isinstance(first[0], dict))


def _is_one(videos: Any) -> bool:
    """A path, an opened video or a list of frames."""
    if isinstance(videos, list | tuple):
        return bool(videos) and isinstance(videos[0], Frame)
    return isinstance(videos, str | os.PathLike) or not hasattr(videos, "__len__")
