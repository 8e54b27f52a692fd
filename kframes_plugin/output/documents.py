"""Keyframes as documents, for loaders, readers and retrievers: an id, a line of text, plain metadata, a JPEG."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kframes_plugin.chat.images import jpeg
from kframes_plugin.clips.geometry import clip_of
from kframes_plugin.output.messages import clock
from kframes_plugin.output.whole import write_whole
from kframes_plugin.text import printable

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection

Path_ = str | os.PathLike[str]


@dataclass(frozen=True)
class KeyframeDocument:
    """One keyframe.

    Attributes:
        id: the same for the same frame of the same path, whatever the query.
        text: "Frame at 0:05.0 (5.0 s) of match.mp4, in the clip 0:03.0-0:09.0"; no reason, since reasons make answers
            worse.
        metadata: plain values: video, timestamp (s), duration of the frame (s), number (from 1), query; scene_start,
            scene_end (s) where scenes are known; and where it lies in a clip clip_start, clip_end (s), priority, score
            and reason; said, the line that is spoken, where one is known; image_path where one was written.
    """

    id: str
    text: str
    metadata: dict[str, Any]


def keyframe_documents(selection: Selection, out: Path_ | None = None) -> list[KeyframeDocument]:
    """The keyframes of a selection, in time order.

    Args:
        selection: of a video file.
        out: directory for one JPEG a keyframe (long side at most 768 pixels), made if missing; None writes none.
    """
    return [_document(selection, number, out) for number in range(1, len(selection.frames) + 1)]


def _document(selection: Selection, number: int, out: Path_ | None) -> KeyframeDocument:
    frame = selection.frames[number - 1]
    video = os.path.abspath(selection.video)
    name = printable(Path(video).name)
    identity = f"{hashlib.sha256(os.fsencode(video)).hexdigest()[:16]}-{round(frame.timestamp * 1000):09d}"
    metadata: dict[str, Any] = {
        "video": video,
        "timestamp": frame.timestamp,
        "duration": frame.duration,
        "number": number,
        "query": selection.query,
    }
    text = f"Frame at {clock(frame.timestamp)} ({frame.timestamp:.1f} s) of {name}"
    for start, end in selection.scenes:
        if start <= frame.timestamp < end:
            metadata |= {"scene_start": start, "scene_end": end}
    if (place := clip_of(frame, selection.clips)) is not None:
        clip = selection.clips[place - 1]
        metadata |= {
            "clip_start": clip.start,
            "clip_end": clip.end,
            "priority": clip.priority,
            "reason": printable(clip.reason),
        }
        metadata |= {} if clip.score is None else {"score": clip.score}
        text += f", in the clip {clock(clip.start)}-{clock(clip.end)}"
    metadata |= {"said": frame.said} if frame.said else {}
    if out is not None:
        path = Path(out).absolute() / f"{identity}.jpg"
        write_whole(path, jpeg(frame.image))
        metadata["image_path"] = str(path)
    return KeyframeDocument(identity, text, metadata)
