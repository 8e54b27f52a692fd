"""What a model reads: the candidate frames with their times, and the query. Shared by use and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kframes_plugin.types import Frame

DECIMALS = 1  # seconds are written to a tenth; a frame of a 30-fps video lasts 0.03 s
# What dense labels call a frame: no attribute of the query holds in it, some do, it is secondary, it is top.
RELEVANCE = ("none", "part", "P2", "P1")

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class PromptFormat:
    """How a checkpoint was taught to read and write; kept in its ``kframes.json``.

    Attributes:
        time_format: "seconds" writes times as seconds ("12.5"); "index" writes the candidate's number, 0 to T with
            exclusive end, and a closing mark T after the last frame, so that every time is a copy of one that was read.
            A small model learns indices over three times faster.
        query_position: the query "after" the frames (their prefill can then be kept for the next query), "before"
            them, or "both".
        instruction: "full" spells the task out, for models not trained for it; "short" gives the bare query.
        reasons: whether clips carry a reason. Without it an answer has about half the tokens.
        times: the temporal prompt: whether every frame's time stands before it. Without, a model has to count.

    Raises:
        ValueError: a value that is not one of these.
    """

    time_format: Literal["seconds", "index"] = "seconds"
    query_position: Literal["after", "before", "both"] = "after"
    instruction: Literal["full", "short"] = "full"
    reasons: bool = True
    times: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (
            ("time_format", ("seconds", "index")),
            ("query_position", ("after", "before", "both")),
            ("instruction", ("full", "short")),
            ("reasons", (True, False)),
            ("times", (True, False)),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}; got {getattr(self, name)!r}")


DEFAULT_FORMAT = PromptFormat()


def build_messages(frames: Sequence[Frame], query: str, fmt: PromptFormat = DEFAULT_FORMAT) -> Messages:
    """The chat messages that ask a multimodal model for the key clips.

    Args:
        frames: the candidate frames in time order, at least one.
        query: what to look for.
        fmt: how the model was taught to read.

    Returns:
        One user message. Its content holds for every frame ``{"type": "text", "text": time}`` (with ``fmt.times``)
        and ``{"type": "image", "image": PIL image}``, and the query as text after and/or before them.

    Raises:
        ValueError: no frames, or an empty query.
    """
    if not frames:
        raise ValueError("build_messages needs at least one frame; got none")
    if not query.strip():
        raise ValueError("the query is empty; say in words what to look for")
    content = frame_content(frames, fmt)
    task = query if fmt.instruction == "short" else _instruction(frames, query, fmt)
    before = fmt.query_position == "before"
    content = [_text(task + "\n"), *content] if before else [*content, _text("\n" + task)]
    if fmt.query_position == "both":
        content = [_text(query + "\n"), *content]
    return [{"role": "user", "content": content}]


def frame_content(frames: Sequence[Frame], fmt: PromptFormat = DEFAULT_FORMAT) -> list[dict[str, Any]]:
    """The frames as chat content: each one's time as text, then its image; a closing mark in index mode."""
    if not fmt.times:
        return [{"type": "image", "image": frame.image} for frame in frames]
    content: list[dict[str, Any]] = []
    for index, frame in enumerate(frames):
        content += [_text(_mark(index, frame.timestamp, fmt)), {"type": "image", "image": frame.image}]
    if fmt.time_format == "index":
        content.append(_text(_mark(len(frames), duration_of(frames), fmt)))
    return content


def split_images(messages: Messages) -> tuple[Messages, list[Any]]:
    """Messages without their images, and the images in order: the two columns TRL trains on.

    Every content item comes out with the same keys, ``type`` and ``text``, as a column of a table needs.
    """
    images: list[Any] = []
    stripped: Messages = []
    for message in messages:
        content = []
        for item in message["content"]:
            content.append({"type": item["type"], "text": item.get("text", "")})
            if item["type"] == "image":
                images.append(item["image"])
        stripped.append({**message, "content": content})
    return stripped, images


def duration_of(frames: Sequence[Frame]) -> float:
    """Length of the video in seconds: what the :class:`Candidates` say, or the end of the last of plain frames."""
    return float(getattr(frames, "duration", frames[-1].end))


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _mark(index: int, timestamp: float, fmt: PromptFormat) -> str:
    """The time of a frame as the model reads it; the long form is the one Qwen3-VL was trained on."""
    time = str(index) if fmt.time_format == "index" else f"{timestamp:.{DECIMALS}f}"
    if fmt.instruction == "short":
        return time
    return f"<frame {time}>" if fmt.time_format == "index" else f"<{time} seconds>"


def _instruction(frames: Sequence[Frame], query: str, fmt: PromptFormat) -> str:
    unit = "frame number" if fmt.time_format == "index" else "seconds"
    reason = ', "reason": at most 20 words' if fmt.reasons else ""
    exclusive = " The end frame is not part of the clip." if fmt.time_format == "index" else ""
    if fmt.times:
        timing = "Before each frame stands its time."
    else:
        timing = "The frames are numbered from 0." if fmt.time_format == "index" else "They are evenly spaced."
    return (
        f"These are {len(frames)} frames of a video of {duration_of(frames):.{DECIMALS}f} seconds. {timing}\n"
        "Which clips of the video must be seen to answer this query?\n"
        f"Query: {query}\n"
        "Answer with nothing but a JSON list of clips, the best first:\n"
        f'[{{"start": {unit}, "end": {unit}, "priority": "P1" or "P2"{reason}}}]\n'
        f'"P1" clips answer the query, "P2" clips help.{exclusive} If nothing matches, answer [].'
    )
