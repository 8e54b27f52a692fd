"""KFramesPostprocessor: coarse clips that a retriever found -> keyframes for the question that was asked."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import Field, PrivateAttr

from kframes_llama_index.nodes import as_kframes, default_out, nodes
from kframes_plugin.agents.tool import lock_of
from kframes_plugin.kframes import KFrames
from kframes_plugin.output.documents import share_out
from kframes_plugin.selection import Selection
from kframes_plugin.types import Candidates, Clip, Cost, Frame, Span
from kframes_plugin.video import OpenVideo


class KFramesPostprocessor(BaseNodePostprocessor):
    """Nodes of video clips are replaced by k keyframes inside these clips, chosen for the query; others are kept.

    An index is built before anybody asks, so its nodes are coarse. A node is a clip of a video when its metadata has
    ``video`` and ``clip_start`` and ``clip_end``, or ``scene_start`` and ``scene_end``, or ``timestamp`` and
    ``duration``; the first of these counts, and this package's reader writes them. The selector sees candidates of
    these spans only, so it looks closer than at the whole video. Where the spans have fewer than k frames, the rest
    comes from around them, and a log line says so.

    Args:
        kframes: the selector: a KFrames, or a name for :meth:`KFrames.from_pretrained`.
        k: nodes wanted, >= 1, shared evenly by the videos.
        out: directory for the JPEGs; None: kframes/frames in the user's cache directory.
    """

    k: int = Field(8, ge=1)
    out: str = Field(default_factory=default_out)

    _kframes: Any = PrivateAttr()

    def __init__(
        self, kframes: KFrames | str, k: int = 8, *, out: str | os.PathLike[str] | None = None, **options: Any
    ) -> None:
        super().__init__(**options | {"k": k, "out": default_out() if out is None else os.path.abspath(out)})
        self._kframes = kframes

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex keeps in serialised postprocessors."""
        return "KFramesPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        spans: dict[str, list[Span]] = {}
        kept = []
        for node in nodes:
            place = _place(node.node.metadata)
            if place is None:
                kept.append(node)
            else:
                spans.setdefault(place[0], []).append(place[1])
        if not spans:
            return kept
        if query_bundle is None:
            raise ValueError("keyframes are chosen for a query; pass query_str or query_bundle")
        return [*self._keyframes(spans, query_bundle.query_str), *kept]

    def _keyframes(self, spans: dict[str, list[Span]], query: str) -> list[NodeWithScore]:
        kframes = as_kframes(self._kframes)
        with lock_of(kframes):
            found = [select_within(kframes, video, merged(of), query, self.k) for video, of in spans.items()]
            shares = share_out([(True, len(selection.frames)) for selection in found], self.k)
            given = [(selection, share) for selection, share in zip(found, shares, strict=True) if share]
            drawn = [s if share == len(s.frames) else s.resample(share) for s, share in given]
        return [node for selection in drawn for node in nodes(selection, self.out)]


def select_within(kframes: KFrames, video: str, spans: Sequence[Span], query: str, k: int) -> Selection:
    """As :meth:`KFrames.select`, inside some spans of a video only, as long as they have k frames.

    Args:
        spans: seconds, apart from each other, in time order, at least one.

    Raises:
        ValueError: no span lies in the video.
        VideoError, SelectorError: as for :meth:`KFrames.select`.
    """
    with OpenVideo(video, **kframes.sampling.video_options) as opened:
        inside = [(start, min(end, opened.duration)) for start, end in spans if start < opened.duration]
        if not inside:
            raise ValueError(f"{video} lasts {opened.duration:.1f} s; the clips {list(spans)} lie after its end")
        candidates = _candidates(kframes, opened, inside)
        clips = [part for clip in kframes.selector(candidates, query) for part in _parts(clip, inside)]
        notes = () if clips else ("the selector found no clip inside the given ones; the frames are spread over them",)
        selection = Selection(
            video=video,
            query=query,
            k=k,
            strategy="focused",
            clips=tuple(clips) or tuple(Clip(*span) for span in inside),
            frames=(),
            cost=Cost(candidates=len(candidates)),
            notes=notes,
            duration=opened.duration,
            candidates=tuple(frame.timestamp for frame in candidates),
            sampling=replace(kframes.sampling, within=tuple(inside)),
            _opened=opened,
        )
        return replace(selection.resample(k, "focused"), _opened=None)


def merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in time order, those that touch or overlap as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _candidates(kframes: KFrames, video: OpenVideo, spans: Sequence[Span]) -> Candidates:
    """As many distinct frames as the selector asks for, evenly over the spans."""
    lengths = np.array([end - start for start, end in spans])
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    steps = (np.arange(kframes.candidates) + 0.5) * before[-1] / kframes.candidates
    which = np.searchsorted(before, steps, side="right") - 1
    times = np.array([start for start, _ in spans])[which] + steps - before[which]
    times = video.timestamps[np.unique(np.searchsorted(video.timestamps, times, side="right") - 1)]
    frames = video.frames_at(times.tolist(), size=kframes.candidate_size)
    span_ends = [end for _, end in spans]
    next_ones = [*(frame.timestamp for frame in frames[1:]), span_ends[-1]]
    shown = []
    for frame, following in zip(frames, next_ones, strict=True):
        end = min(following, span_ends[bisect_right(span_ends, frame.timestamp)])  # it stands for no more than its span
        shown.append(Frame(frame.timestamp, end - frame.timestamp, frame.image))
    return Candidates(shown, video.duration)


def _parts(clip: Clip, spans: Sequence[Span]) -> list[Clip]:
    """The parts of a clip that lie in the spans."""
    overlaps = [(max(clip.start, start), min(clip.end, end)) for start, end in spans]
    return [replace(clip, start=start, end=end) for start, end in overlaps if start < end]


def _place(metadata: dict[str, Any]) -> tuple[str, Span] | None:
    """Video and span of a node, or None where it is no clip of a video."""
    video = metadata.get("video")
    if video is None:
        return None
    for kind in ("clip", "scene"):
        if f"{kind}_start" in metadata and f"{kind}_end" in metadata:
            return video, (float(metadata[f"{kind}_start"]), float(metadata[f"{kind}_end"]))
    if "timestamp" in metadata and "duration" in metadata:
        start = float(metadata["timestamp"])
        return video, (start, start + float(metadata["duration"]))
    return None
