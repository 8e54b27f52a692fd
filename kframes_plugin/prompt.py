"""What a model reads and writes: frames and a query in, key clips out. Shared by use and training.

The one wire form of an answer is a JSON list, best clip first, reason last so that it can be cut:

    [{"start":61.0,"end":74.5,"priority":"P1","reason":"the goal"}]

``write_clips`` writes it, ``parse_clips`` reads it back, whatever a model made of it. Pure: no torch, no files.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kframes_plugin.answers import Answer, RawClip, read_answer, tidy_text
from kframes_plugin.spans import candidate_edges, disjoint, fit, in_seconds
from kframes_plugin.types import Clip, Frame, Prediction, Span

MAX_REASON = 200  # characters: about 20 words and 50 tokens
MAX_CLIPS = 64
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


# ---------------------------------------------------------------------------------------------- what a model reads


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


# --------------------------------------------------------------------------------------------- what a model writes


def write_clips(
    clips: Iterable[Clip],
    duration: float,
    *,
    fmt: PromptFormat = DEFAULT_FORMAT,
    times: Sequence[float] | None = None,
) -> str:
    """The wire form of clips: the target of training, and the inverse of :func:`parse_clips`.

    Args:
        clips: best first; they are written in this order.
        duration: length of the video, seconds.
        fmt: how times are written. Seconds go outwards to a tenth, so the written span covers the clip; in index
            mode a clip takes the candidates whose timestamps lie in it, or the one that stands for its middle.
        times: timestamps of the candidates, seconds, ascending; needed in index mode.
    """
    rows = []
    for clip in clips:
        start, end = _indices(clip, _needed(times)) if fmt.time_format == "index" else _tenths(clip)
        row = {"start": start, "end": end, "priority": clip.priority}
        rows.append({**row, "reason": tidy_text(clip.reason, MAX_REASON)} if fmt.reasons else row)
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def parse_clips(
    text: str,
    duration: float,
    *,
    fmt: PromptFormat = DEFAULT_FORMAT,
    times: Sequence[float] | None = None,
    max_clips: int = MAX_CLIPS,
    max_reason: int = MAX_REASON,
) -> Prediction:
    """Read the clips out of whatever a model wrote. Never raises for a text; every repair is a note.

    Cut-off or broken JSON, fences and talk around it, other keys and spellings, times as text ("12.5s", "1:05"),
    swapped or outside values are mended; what cannot be is dropped. Points become the span of their candidate
    (of 1 s where no ``times`` are given). Duplicates go; overlapping clips of one priority are merged, and P2 gives
    way to P1, so the clips that come back are disjoint. In index mode clip [i, j) runs from edge i to edge j of
    :func:`~kframes_plugin.spans.candidate_edges`.

    Args:
        text: the answer.
        duration: length of the video, seconds, > 0.
        fmt: how the model was taught to write.
        times: timestamps of the candidates, seconds, ascending; needed in index mode.
        max_clips: more clips than this are cut, the worst first.
        max_reason: longer reasons are cut to this many characters.

    Returns:
        Disjoint clips inside [0, duration], P1 before P2 and otherwise in the order written. No clips and no
        note: the model answered ``[]``. No clips and a note: nothing usable was written.

    Raises:
        ValueError: duration is not positive, or index mode without times.
    """
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"duration must be a positive number of seconds; got {duration}")
    indexed = fmt.time_format == "index"
    edges = candidate_edges(_needed(times) if indexed else times or (), duration)
    answer = read_answer(text)
    clips: list[Clip] = []
    for raw in answer.clips:
        span = in_seconds((raw.start, raw.end), edges, answer) if indexed else (raw.start, raw.end)
        if fitted := fit(span, duration, edges if times else None, answer):
            clips.append(_clip(raw, fitted, fmt, max_reason, answer))
    return Prediction(disjoint(clips, max_clips, answer), notes=answer.notes())


def _clip(raw: RawClip, span: Span, fmt: PromptFormat, max_reason: int, answer: Answer) -> Clip:
    if raw.reason is None and fmt.reasons:
        answer.repaired("left the missing reason of a clip empty")
    reason = tidy_text(raw.reason or "", max_reason)
    if reason != (raw.reason or ""):
        answer.repaired("tidied or shortened a reason")
    return Clip(*span, priority=raw.priority, reason=reason)


def _needed(times: Sequence[float] | None) -> Sequence[float]:
    if not times:
        raise ValueError('time_format "index" needs times, the timestamps of the candidates; got none')
    return times


def _tenths(clip: Clip) -> Span:
    """Start and end outwards to a tenth of a second (less a millionth, for 0.3 * 10 is not 3)."""
    scale = 10**DECIMALS
    return math.floor(clip.start * scale + 1e-6) / scale, math.ceil(clip.end * scale - 1e-6) / scale


def _indices(clip: Clip, times: Sequence[float]) -> tuple[int, int]:
    start, end = bisect_left(times, clip.start), bisect_left(times, clip.end)
    if start == end:  # between two candidates: the nearer one
        middle = (clip.start + clip.end) / 2
        start = min(range(len(times)), key=lambda i: abs(times[i] - middle))
        end = start + 1
    return start, end
