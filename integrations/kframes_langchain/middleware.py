"""ImagesAfterTools: for chat models that take no images in tool messages, or take them out of order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage

IMAGES = ("image", "image_url")
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


def images_after_tools(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Messages with the images of every run of tool messages in one human message after it."""
    moved: list[AnyMessage] = []
    waiting: list[str | dict[str, Any]] = []
    for message in messages:
        if isinstance(message, ToolMessage) and has_images(message):
            kept, images = _split(message.content)  # type: ignore[arg-type]
            moved.append(message.model_copy(update={"content": [*kept, {"type": "text", "text": NOTICE}]}))
            waiting += [{"type": "text", "text": f"Images of the tool call {message.tool_call_id}:"}, *images]
            continue
        if waiting and not isinstance(message, ToolMessage):  # answers to parallel calls must stay together
            moved.append(HumanMessage(waiting))
            waiting = []
        moved.append(message)
    return [*moved, HumanMessage(waiting)] if waiting else moved


def has_images(message: ToolMessage) -> bool:
    """Whether a tool message has an image block."""
    return isinstance(message.content, list) and any(_is_image(block) for block in message.content)


def _split(content: list[Any]) -> tuple[list[Any], list[Any]]:
    """What stays and what moves: every image, and the line of text before it, its caption."""
    moving = {place for place, block in enumerate(content) if _is_image(block)}
    captions = {place - 1 for place in moving if place > 1 and not _is_image(content[place - 1])}
    kept = [block for place, block in enumerate(content) if place not in moving | captions]
    return kept, [block for place, block in enumerate(content) if place in moving | captions]


def _is_image(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in IMAGES
