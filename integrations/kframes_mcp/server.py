"""The MCP server: the same tool as LangChain's, over stdio."""

# No `from __future__ import annotations` here: the bounds of k in the tool's signature are values of this call.

import os
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import anyio
import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import ConfigDict, Field

from kframes_plugin import __version__
from kframes_plugin.agents import tool as core
from kframes_plugin.agents.progress import Count
from kframes_plugin.cancellation import cancellable
from kframes_plugin.chat.images import LONG_SIDE, QUALITY
from kframes_plugin.errors import KFramesError
from kframes_plugin.kframes import KFrames
from kframes_plugin.query.spans import Time

TELL = 0.2  # seconds between two notifications of progress


def build_server(
    *,
    kframes: KFrames,
    allowed_paths: Sequence[str | os.PathLike[str]],
    hosts: Sequence[str] = (),
    max_k: int = core.MAX_K,
    long_side: int = LONG_SIDE,
    quality: int = QUALITY,
    max_bytes: int | None = core.MAX_BYTES,
) -> MCPServer:
    """A server with the tool ``select_video_frames``; ``run()`` serves it over stdio.

    A client that asks for progress is told of the frames that are done, every .2 s. A call that is cancelled stops at
    its next frame or step of the model.

    Args:
        kframes, allowed_paths, hosts, max_k, long_side, quality, max_bytes: as for
            :class:`kframes_plugin.agents.tool.VideoTool`. Paths that a client names are relative to
            ``allowed_paths``, and no other file is opened.

    Raises:
        ValueError: no allowed_paths, or something that is no directory.
    """
    tool = core.VideoTool(
        kframes,
        allowed_paths=allowed_paths,
        hosts=hosts,
        max_k=max_k,
        long_side=long_side,
        quality=quality,
        max_bytes=max_bytes,
    )
    kinds = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=bool(tool.allowed_paths.hosts))

    async def select_video_frames(
        video: Annotated[str, Field(description=core.VIDEO)],
        query: Annotated[str, Field(description=core.QUERY)],
        context: Context,
        k: Annotated[int, Field(description=core.K, ge=1, le=max_k)] = min(core.DEFAULT_K, max_k),
        start: Annotated[Time | None, Field(description=core.START)] = None,
        end: Annotated[Time | None, Field(description=core.END)] = None,
    ) -> CallToolResult:
        done = Count()
        call = partial(tool, video, query, k, start, end, progress=done)
        shown: core.Shown | KFramesError
        async with anyio.create_task_group() as group:
            group.start_soon(_tell, context, done, ended := anyio.Event())
            try:
                with cancellable():
                    shown = await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
            except KFramesError as error:
                shown = error  # raised below, for a task group wraps what is raised in it
            ended.set()
        if isinstance(shown, KFramesError):
            raise ToolError(str(shown)) from shown
        content: list[ContentBlock] = [TextContent(type="text", text=shown.table)]
        for caption, data in shown.frames:
            content += [
                TextContent(type="text", text=caption),
                ImageContent(type="image", data=data, mime_type="image/jpeg"),
            ]
        return CallToolResult(content=content, structured_content=shown.artifact)

    named: dict[str, Any] = {"name": core.NAME, "description": core.DESCRIPTION, "annotations": kinds}
    made = Tool.from_function(select_video_frames, **named, structured_output=False)
    return MCPServer("kframes", version=__version__, description=core.DESCRIPTION, tools=[_with_known_arguments(made)])


def _with_known_arguments(tool: Tool) -> Tool:
    """The tool, but an argument of another name is an error: what a client asks for is never passed over."""

    class Arguments(tool.fn_metadata.arg_model):  # type: ignore[misc,name-defined]
        model_config = ConfigDict(extra="forbid")

    metadata = tool.fn_metadata.model_copy(update={"arg_model": Arguments})
    parameters = {**tool.parameters, "additionalProperties": False}
    return tool.model_copy(update={"fn_metadata": metadata, "parameters": parameters})


async def _tell(context: Context, count: Count, ended: anyio.Event) -> None:
    """Notify the client of frames that are done, until the call has ended."""
    told = 0
    while not ended.is_set():
        with anyio.move_on_after(TELL):
            await ended.wait()
        done, total, step = count.now
        if done > told:
            await context.report_progress(done, total, step)
            told = done
