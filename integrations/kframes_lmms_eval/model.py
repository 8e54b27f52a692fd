"""The model "kframes" of lmms-eval: another chat model of it, which sees frames where the task has videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lmms_eval.api.model import lmms
from lmms_eval.models import get_model

from kframes_lmms_eval.frames import FramesForVideos
from kframes_plugin.kframes import KFrames
from kframes_plugin.types import Strategy


class KFramesModel(lmms):  # type: ignore[misc, unused-ignore]
    """Wraps one model.

    Args (of ``--model_args``):
        inner: name of a chat model of lmms-eval: qwen2_5_vl, qwen3_vl, llava_hf, internvl_hf, openai, vllm ...
        selector: any name of :meth:`KFrames.from_pretrained`.
        k: frames a video.
        strategy: "auto", "focused", "hybrid" or "uniform".
        query_field: field of the task's documents that holds the query, as "question"; by default the whole prompt.
        candidates: frames shown to the selector; by default what it asks for.
        selector_device: of the selector; automatic by default.
        batch_size, device and everything else: arguments of the inner model.

    Raises:
        ValueError: the inner model is no chat model: only those read messages with images in their order.
        SelectorError: the selector cannot be loaded.
    """

    is_simple = False

    def __init__(
        self,
        inner: str = "qwen2_5_vl",
        selector: str = "lite",
        k: int = 8,
        strategy: Strategy = "auto",
        query_field: str | None = None,
        candidates: int | None = None,
        selector_device: str | None = None,
        **inner_args: Any,
    ) -> None:
        super().__init__()
        kind = get_model(inner)
        if kind.is_simple or issubclass(kind, KFramesModel):
            raise ValueError(
                f"inner={inner!r} is not a chat model of lmms-eval, so it cannot take times and frames in order; "
                "choose one of lmms_eval.models.chat, as qwen2_5_vl, llava_hf, internvl_hf or openai"
            )
        inner_args.pop("max_batch_size", None)
        kframes = KFrames.from_pretrained(selector, device=selector_device, candidates=candidates, strategy=strategy)
        self.frames = FramesForVideos(kframes, k, query_field=query_field)
        self.inner: Any = kind(**inner_args)
        self.inner.task_dict = self.task_dict  # one dictionary: the evaluator fills ours later

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """The inner model's answers to the requests, its messages rewritten when it asks for them."""
        return list(self.inner.generate_until([self._rewritten(request) for request in requests]))

    def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
        """Not for frames: later rounds may ask for other parts of the video."""
        raise NotImplementedError("kframes answers single-turn tasks; run this task with the inner model alone")

    def loglikelihood(self, requests: list[Any]) -> list[Any]:
        """Not for frames: chat models of lmms-eval do not compute it either."""
        raise NotImplementedError("kframes answers tasks that generate text; run this task with the inner model alone")

    def set_cache_hook(self, cache_hook: Any) -> None:
        """For the inner model too."""
        super().set_cache_hook(cache_hook)
        self.inner.set_cache_hook(cache_hook)

    def clean(self) -> None:
        """Let go of the inner model and of the open video."""
        self.frames.close()
        self.inner.clean()
        super().clean()

    @property
    def rank(self) -> int:
        """Of the inner model's process."""
        return int(self.inner.rank)

    @property
    def world_size(self) -> int:
        """Processes of the inner model."""
        return int(self.inner.world_size)

    def __getattr__(self, name: str) -> Any:
        """What the evaluator asks of a model (accelerator, tokenizer, device ...) is the inner model's."""
        if name == "inner":  # not set yet
            raise AttributeError(name)
        return getattr(self.inner, name)

    def _rewritten(self, request: Any) -> Any:
        context, to_messages, *rest = request.args
        return replace(request, arguments=(context, self._with_frames(to_messages), *rest))

    def _with_frames(self, to_messages: Callable[..., Any]) -> Callable[..., Any]:
        def rewritten(document: Any, **options: Any) -> Any:
            return self.frames(to_messages(document, **options), document)

        return rewritten
