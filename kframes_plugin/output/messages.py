"""A selection as a model reads it: chat messages, an OpenAI request, vLLM's multi-modal data, a table in words.

Behind :meth:`Selection.to_messages` and its sisters. The portable form is interleaved: the time of a frame as text,
then the frame; every model that reads images reads it right. What one family reads better is in ``prompt/styles.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kframes_plugin.clips.geometry import clip_of
from kframes_plugin.prompt import Messages
from kframes_plugin.prompt.lines import TOKENS, add_lines, choose_lines
from kframes_plugin.prompt.styles import video_metadata
from kframes_plugin.text import clock as clock
from kframes_plugin.text import printable

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection
    from kframes_plugin.types import Line


def chat_messages(
    selection: Selection, question: str | None, *, reasons: bool = False, transcript: bool = False
) -> Messages:
    """See :meth:`Selection.to_messages`."""
    blocks: list[list[dict[str, Any]]] = [
        [{"type": "text", "text": f"{frame.timestamp:.1f} s:"}, {"type": "image", "image": frame.image}]
        for frame in selection.frames
    ]
    content = add_lines(blocks, selection.timestamps, answer_lines(selection) if transcript else ())
    if reasons and selection.clips:
        lines = [f"{c.start:.1f}-{c.end:.1f} s ({c.priority}): {c.reason}" for c in selection.clips]
        content.append({"type": "text", "text": "Key clips:\n" + "\n".join(lines)})
    content.append({"type": "text", "text": selection.query if question is None else question})
    return [{"role": "user", "content": content}]


def answer_lines(selection: Selection, tokens: int = TOKENS) -> list[Line]:
    """The lines near the frames that fit a budget of tokens, estimated."""
    return choose_lines(selection.transcript, selection.timestamps, tokens) if selection.frames else []


def vllm_data(selection: Selection, *, repeat: int = 1) -> dict[str, Any]:
    """See :meth:`Selection.to_vllm`."""
    pictures = np.stack([np.asarray(frame.image) for frame in selection.frames for _ in range(repeat)])
    metadata = {**video_metadata(selection.frames, selection.duration, repeat=repeat), "do_sample_frames": False}
    return {"video": [(pictures, metadata)]}


def frame_table(selection: Selection, *, reasons: bool = False, most_clips: int | None = None) -> str:
    """The frames as numbered lines, for hosts that lose the order of images: "Frame 1 = 0:05.0 (5.0 s), clip 2, P1"."""
    count, duration = len(selection.frames), selection.duration
    lines = [f"{count} frames of a video of {duration:.1f} s, in time order, for: {printable(selection.query)}"]
    for number, frame in enumerate(selection.frames, 1):
        place = "outside the clips"
        if (found := clip_of(frame, selection.clips)) is not None:
            place = f"clip {found}, {selection.clips[found - 1].priority}"
        lines.append(f"Frame {number} = {clock(frame.timestamp)} ({frame.timestamp:.1f} s), {place}")
    for number, clip in enumerate(selection.clips[:most_clips], 1):
        reason = f": {printable(clip.reason)}" if reasons and clip.reason else ""
        lines.append(f"Clip {number} = {clock(clip.start)}-{clock(clip.end)}, {clip.priority}{reason}")
    if most_clips is not None and len(selection.clips) > most_clips:
        lines.append(f"and {len(selection.clips) - most_clips} clips more")
    lines += [f"Note: {printable(str(note))}" for note in selection.notes]
    return "\n".join(lines)
