"""What an agent does with the images of tools: move them behind, or let go of older ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

from kframes_plugin.agents.memory import IMAGES, check_keep, has_images, shrink_images

NOTICE = "[The images are in the next message.]"


class ImagesAfterTools(AgentMiddleware):
    """Move the images of tool messages into a human message after them, captions included.

    OpenAI's chat completions refuse images in tool messages; Gemini and Ollama pull them out of order. Only what the
    model is sent changes: the agent's state and checkpoints keep the messages as the tool wrote them.
    """

    def wrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], Any]) -> Any:
        """Send the moved messages."""
        return handler(request.override(messages=images_after_tools(request.messages)))

    async def awrap_model_call(self, request: ModelRequest, handler: Callable[[ModelRequest], Awaitable[Any]]) -> Any:
        """Send the moved messages."""
        return await handler(request.override(messages=images_after_tools(request.messages)))


class KeepLastImages(AgentMiddleware):
    """Let go of the images of earlier tool calls, in the agent's state too, so that its memory stays small.

    Each answer keeps its table of times, so the model can ask again for what it has seen.

    Args:
        keep_last: how many tool messages with images keep them, >= 0.
        long_side: pixels to which older images are scaled down; None leaves them out, and a line says so.

    Raises:
        ValueError: a number out of its range.
    """

    def __init__(self, keep_last: int = 1, *, long_side: int | None = None) -> None:
        super().__init__()
        check_keep(keep_last, long_side)
        self.keep_last, self.long_side = keep_last, long_side

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Replace the messages whose images go."""
        tools = [m for m in state["messages"] if isinstance(m, ToolMessage) and has_images(m.content)]
        older = tools[: max(len(tools) - self.keep_last, 0)]
        changed = [m.model_copy(update={"content": shrink_images(m.content, self.long_side)}) for m in older]
        new = [message for message, old in zip(changed, older, strict=True) if message.content != old.content]
        return {"messages": new} if new else None


def images_after_tools(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Messages with the images of every run of tool messages in one human message after it."""
    moved: list[AnyMessage] = []
    waiting: list[str | dict[str, Any]] = []
    for message in messages:
        if isinstance(message, ToolMessage) and has_images(message.content):
            kept, images = _split(message.content)  # type: ignore[arg-type]
            moved.append(message.model_copy(update={"content": [*kept, {"type": "text", "text": NOTICE}]}))
            waiting += [{"type": "text", "text": f"Images of the tool call {message.tool_call_id}:"}, *images]
            continue
        if waiting and not isinstance(message, ToolMessage):  # answers to parallel calls must stay together
            moved.append(HumanMessage(waiting))
            waiting = []
        moved.append(message)
    return [*moved, HumanMessage(waiting)] if waiting else moved


def _split(content: list[Any]) -> tuple[list[Any], list[Any]]:
    """What stays and what moves: every image, and the line of text before it, its caption."""
    moving = {place for place, block in enumerate(content) if _is_image(block)}
    captions = {place - 1 for place in moving if place > 1 and not _is_image(content[place - 1])}
    kept = [block for place, block in enumerate(content) if place not in moving | captions]
    return kept, [block for place, block in enumerate(content) if place in moving | captions]


def _is_image(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in IMAGES
