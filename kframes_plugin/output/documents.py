"""Keyframes as documents, for loaders, readers and retrievers: an id, a line of text, plain metadata, a JPEG."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kframes_plugin.agents.tool import lock_of
from kframes_plugin.kframes import KFrames
from kframes_plugin.output.messages import LONG_SIDE, QUALITY, clip_of, clock, jpeg
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
            and reason; image_path where one was written.
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


def select_over(kframes: KFrames, videos: Sequence[Path_], query: str, k: int) -> list[Selection]:
    """min(k, all frames) keyframes over several videos, the ones that fit the query best first.

    Videos where a clip was found share k evenly, those with P1 clips and better scores first; the others are only
    used for what is left. Scores of most selectors compare clips of one video, so the order of videos is a rough one.
    """
    with lock_of(kframes):
        found = [kframes.select(video, query, k) for video in videos]
        if len(found) == 1:
            return found
        ranked = sorted(found, key=_worth)
        shares = share_out([(bool(s.clips), len(s.frames)) for s in ranked], k)
        given = [(selection, share) for selection, share in zip(ranked, shares, strict=True) if share]
        return [s if share == len(s.frames) else s.resample(share) for s, share in given]


def _document(selection: Selection, number: int, out: Path_ | None) -> KeyframeDocument:
    frame = selection.frames[number - 1]
    video = os.path.abspath(selection.video)
    name = Path(video).name
    identity = f"{hashlib.sha256(video.encode()).hexdigest()[:16]}-{round(frame.timestamp * 1000):09d}"
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
        metadata |= {"clip_start": clip.start, "clip_end": clip.end, "priority": clip.priority, "reason": clip.reason}
        metadata |= {} if clip.score is None else {"score": clip.score}
        text += f", in the clip {clock(clip.start)}-{clock(clip.end)}"
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        path = Path(out).absolute() / f"{identity}.jpg"
        path.write_bytes(jpeg(frame.image, long_side=LONG_SIDE, quality=QUALITY))
        metadata["image_path"] = str(path)
    return KeyframeDocument(identity, text, metadata)


def _worth(selection: Selection) -> tuple[int, float]:
    best = min((clip.priority for clip in selection.clips), default="P3")
    return int(best[1]), -max((clip.score or 0.0 for clip in selection.clips), default=0.0)


def share_out(videos: Iterable[tuple[bool, int]], k: int) -> list[int]:
    """How many of k frames each video gives, evenly.

    Args:
        videos: (whether a clip was found, frames it can give), the best first; those without a clip fill what is left.
        k: frames wanted in all.
    """
    able = list(videos)
    shares = [0] * len(able)
    for wanted in (True, False):
        while sum(shares) < k:
            hungry = [n for n, (has, frames) in enumerate(able) if has == wanted and shares[n] < frames]
            if not hungry:
                break
            for n in hungry[: k - sum(shares)]:
                shares[n] += 1
    return shares
