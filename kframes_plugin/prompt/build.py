"""What a model reads: the candidate frames with their times, and the query. Shared by use and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kframes_plugin.prompt.lines import Count, add_lines, choose_lines, estimate_tokens, write_transcript
from kframes_plugin.text import quoted
from kframes_plugin.types import Frame, Line

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
        input: "images" gives every frame as an image, its time as text before it; "video" gives all frames as native
            video with their true times, in the style of the model's family (``prompt/styles.py``).
        answer: "clips" is the form of kframes, objects with priority and reason; "spans" is start and end in seconds
            alone, as a JSON list of pairs or in a sentence. All spans are P1.
        prompt: the whole task in the words that a model was trained on, "{query}" where the query goes; None: the task
            as ``instruction`` says.
        time_mark: how a frame's time is written before it, "{time}" where it goes; None: as ``instruction`` says.

    Raises:
        ValueError: a value that is not one of these, a text without its place, or candidate numbers for native video.
    """

    time_format: Literal["seconds", "index"] = "seconds"
    query_position: Literal["after", "before", "both"] = "after"
    instruction: Literal["full", "short"] = "full"
    reasons: bool = True
    times: bool = True
    input: Literal["images", "video"] = "images"
    answer: Literal["clips", "spans"] = "clips"
    prompt: str | None = None
    time_mark: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("time_format", ("seconds", "index")),
            ("query_position", ("after", "before", "both")),
            ("instruction", ("full", "short")),
            ("reasons", (True, False)),
            ("times", (True, False)),
            ("input", ("images", "video")),
            ("answer", ("clips", "spans")),
        ):
            value = getattr(self, name)
            if value not in allowed or type(value) is not type(allowed[0]):  # 1 == True
                raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}; got {quoted(value)}")
        if self.input == "video" and self.time_format == "index":
            raise ValueError('native video has its times in seconds: input="video" needs time_format="seconds"')
        for name, place in (("prompt", "{query}"), ("time_mark", "{time}")):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or place not in text):
                raise ValueError(f"{name} must be a text with {place} in it, or None; got {quoted(text)}")


DEFAULT_FORMAT = PromptFormat()


def build_messages(
    frames: Sequence[Frame],
    query: str,
    fmt: PromptFormat = DEFAULT_FORMAT,
    shown: Sequence[dict[str, Any]] | None = None,
    *,
    transcript_tokens: int = 0,
    count: Count = estimate_tokens,
    asks: Literal["clips", "scores"] = "clips",
) -> Messages:
    """The chat messages that ask a multimodal model for the key clips, or for a word of RELEVANCE a frame.

    Args:
        frames: the candidate frames in time order, at least one.
        query: what to look for.
        fmt: how the model was taught to read.
        shown: chat content that shows the frames; None: :func:`frame_content`. Needed for ``fmt.input="video"``, which
            depends on the model's family.
        transcript_tokens: that lines of the candidates' transcript may take, >= 0. They stand between the frames, or
            after ``shown``.
        count: text -> its tokens.
        asks: for what, where the format leaves the words of the task to kframes.

    Returns:
        One user message: the content that shows the frames, and the query as text after and/or before it.

    Raises:
        ValueError: no frames, an empty query, or native video without ``shown``.
    """
    if not frames:
        raise ValueError("build_messages needs at least one frame; got none")
    if not query.strip():
        raise ValueError("the query is empty; say in words what to look for")
    known: Sequence[Line] = getattr(frames, "transcript", ()) if transcript_tokens else ()
    lines = choose_lines(known, [frame.timestamp for frame in frames], transcript_tokens, count)
    if shown is None:
        content = frame_content(frames, fmt, lines)
    else:
        content = [*shown, *([_text(write_transcript(lines))] if lines else [])]
    if fmt.prompt is not None:
        task, gap = fmt.prompt.replace("{query}", query), ""
    else:
        between = bool(lines) and shown is None
        task, gap = query if fmt.instruction == "short" else _instruction(frames, query, fmt, asks, between), "\n"
    before = fmt.query_position == "before"
    content = [_text(task + gap), *content] if before else [*content, _text(gap + task)]
    if fmt.query_position == "both":
        content = [_text(query + "\n"), *content]
    return [{"role": "user", "content": content}]


def frame_content(
    frames: Sequence[Frame], fmt: PromptFormat = DEFAULT_FORMAT, lines: Sequence[Line] = ()
) -> list[dict[str, Any]]:
    """The frames as chat content: each one's time as text, then its image; a closing mark in index mode.

    Lines that are spoken stand between the frames, at their times.

    Raises:
        ValueError: ``fmt.input`` is "video".
    """
    if fmt.input == "video":
        raise ValueError('input="video" is for models that kframes runs itself, not here; use input="images"')
    images = [{"type": "image", "image": frame.image} for frame in frames]
    marks = [_text(write_mark(index, frame.timestamp, fmt)) for index, frame in enumerate(frames)]
    blocks = [[mark, image] if fmt.times else [image] for mark, image in zip(marks, images, strict=True)]
    content = add_lines(blocks, [frame.timestamp for frame in frames], lines)
    if fmt.times and fmt.time_format == "index":
        content.append(_text(write_mark(len(frames), duration_of(frames), fmt)))
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


def write_mark(index: int, timestamp: float, fmt: PromptFormat) -> str:
    """The time of a frame as the model reads it; the long form is the one Qwen3-VL was trained on."""
    time = str(index) if fmt.time_format == "index" else f"{timestamp:.{DECIMALS}f}"
    if fmt.time_mark is not None:
        return fmt.time_mark.replace("{time}", time)
    if fmt.instruction == "short":
        return time
    return f"<frame {time}>" if fmt.time_format == "index" else f"<{time} seconds>"


def _instruction(
    frames: Sequence[Frame], query: str, fmt: PromptFormat, asks: Literal["clips", "scores"], with_lines: bool
) -> str:
    if fmt.times:
        timing = "Before each frame stands its time."
    else:
        timing = "The frames are numbered from 0." if fmt.time_format == "index" else "They are evenly spaced."
    if fmt.input == "video":
        timing = "The video has its times."
    timing += " Between them stands what is said, with its time in seconds." if with_lines else ""
    shown = f"These are {len(frames)} frames of a video of {duration_of(frames):.{DECIMALS}f} seconds. {timing}\n"
    if asks == "scores":
        return f"{shown}What has each frame to do with this query?\nQuery: {query}\n{_WORDS}"
    return f"{shown}Which clips of the video must be seen to answer this query?\nQuery: {query}\n{_clip_form(fmt)}"


_WORDS = (
    "Answer with a line a frame: its time, then one word. none: it shows nothing of the query. part: a part of it. "
    "P2: it helps. P1: it answers the query."
)


def _clip_form(fmt: PromptFormat) -> str:
    """The words that say how clips are written."""
    unit = "frame number" if fmt.time_format == "index" else "seconds"
    reason = ', "reason": at most 20 words' if fmt.reasons else ""
    exclusive = " The end frame is not part of the clip." if fmt.time_format == "index" else ""
    if fmt.answer == "spans":
        form = f"[start, end] pairs in {unit.removesuffix('s')}s: [[start, end], [start, end]]."
    else:
        form = (
            f'clips, the best first:\n[{{"start": {unit}, "end": {unit}, "priority": "P1" or "P2"{reason}}}]\n'
            '"P1" clips answer the query, "P2" clips help.'
        )
    return f"Answer with nothing but a JSON list of {form}{exclusive} If nothing matches, answer []."
