"""KFramesTool: an agent looks at videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages.content import create_image_block, create_text_block
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, create_model

from kframes_plugin.agents import tool as core
from kframes_plugin.cancellation import run_in_thread
from kframes_plugin.chat.images import LONG_SIDE, QUALITY
from kframes_plugin.errors import KFramesError
from kframes_plugin.kframes import KFrames
from kframes_plugin.query.spans import Time
from kframes_plugin.text import quoted


class KFramesTool(BaseTool):
    """Select frames of a video for a query -> a table of times and the frames as images.

    Its arguments are ``video``, ``query``, ``k``, ``start`` and ``end``.

    The model that calls it chooses ``video``, so only files under ``allowed_paths`` are opened; see
    :class:`kframes_plugin.agents.allowed_paths.AllowedPaths`. Every expected failure is a ``ToolException``, whose
    message the agent gets.
    Selections of one KFrames take turns. The artifact is plain JSON.

    Args:
        kframes: the selector.
        allowed_paths: directories whose videos may be named; paths are relative to them.
        hosts: hosts whose http(s) URLs may be named.
        max_k: largest k, >= 1.
        long_side, quality: of the JPEGs; they sit in the agent's state and in every checkpoint of it.
        max_bytes: of an answer; see :class:`kframes_plugin.agents.tool.VideoTool`.

    Raises:
        ValueError: no allowed_paths, or something that is no directory.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    name: str = core.NAME
    description: str = core.DESCRIPTION
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True
    handle_validation_error: Any = None

    _tool: core.VideoTool = PrivateAttr()

    def __init__(
        self,
        *,
        kframes: KFrames,
        allowed_paths: Sequence[str | os.PathLike[str]],
        hosts: Sequence[str] = (),
        max_k: int = core.MAX_K,
        long_side: int = LONG_SIDE,
        quality: int = QUALITY,
        max_bytes: int | None = core.MAX_BYTES,
        **options: Any,
    ) -> None:
        options = {"args_schema": _arguments(max_k), "handle_validation_error": _explain, **options}
        super().__init__(**options)
        self._tool = core.VideoTool(
            kframes,
            allowed_paths=allowed_paths,
            hosts=hosts,
            max_k=max_k,
            long_side=long_side,
            quality=quality,
            max_bytes=max_bytes,
        )

    def _run(
        self, video: str, query: str, k: int = core.DEFAULT_K, start: Time | None = None, end: Time | None = None
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        try:
            shown = self._tool(video, query, k, start, end)
        except KFramesError as error:
            raise ToolException(str(error)) from error
        content: list[Any] = [create_text_block(shown.table)]
        for caption, data in shown.frames:
            content += [create_text_block(caption), create_image_block(base64=data, mime_type="image/jpeg")]
        for block in content:
            block.pop("id", None)  # random: the same call must give the same message
        return content, shown.artifact

    async def _arun(self, *args: Any, **kwargs: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        return await run_in_thread(self._run, *args, **kwargs)


def _arguments(max_k: int) -> type[BaseModel]:
    return create_model(
        "SelectVideoFrames",
        __config__=ConfigDict(extra="forbid"),
        video=(str, Field(description=core.VIDEO)),
        query=(str, Field(description=core.QUERY, min_length=1)),
        k=(int, Field(min(core.DEFAULT_K, max_k), description=core.K, ge=1, le=max_k)),
        start=(Time | None, Field(None, description=core.START)),
        end=(Time | None, Field(None, description=core.END)),
    )


def _explain(error: Any) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}; got {quoted(e['input'])}" for e in error.errors())
