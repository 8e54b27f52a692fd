"""KFramesPostprocessor: coarse clips that a retriever found -> keyframes for the question that was asked."""

from __future__ import annotations

import os
from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr

from kframes_llama_index.nodes import as_kframes, check_kframes, default_out, nodes
from kframes_plugin.agents.several_videos import share_out
from kframes_plugin.cancellation import run_in_thread
from kframes_plugin.keyframes import check_request
from kframes_plugin.kframes import KFrames
from kframes_plugin.text import quoted
from kframes_plugin.types import Span


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

    model_config = ConfigDict(extra="forbid")

    k: int = Field(8, ge=1)
    out: str = Field(default_factory=default_out)

    _kframes: Any = PrivateAttr()

    def __init__(
        self, kframes: KFrames | str, k: int = 8, *, out: str | os.PathLike[str] | None = None, **options: Any
    ) -> None:
        check_kframes(kframes)
        check_request("-", k, None)
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

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await run_in_thread(self._postprocess_nodes, nodes, query_bundle)

    def _keyframes(self, spans: dict[str, list[Span]], query: str) -> list[NodeWithScore]:
        kframes = as_kframes(self._kframes)
        with kframes.kept.lock:
            found = [kframes.kept.select(video, query, self.k, within=of) for video, of in spans.items()]
            shares = share_out([(True, len(selection.frames)) for selection in found], self.k)
            given = [(selection, share) for selection, share in zip(found, shares, strict=True) if share]
            drawn = [s if share == len(s.frames) else s.resample(share) for s, share in given]
        return [node for selection in drawn for node in nodes(selection, self.out)]


def _place(metadata: dict[str, Any]) -> tuple[str, Span] | None:
    """Video and span of a node, or None where it is no clip of a video."""
    video = metadata.get("video")
    if video is None:
        return None
    if not isinstance(video, str):
        raise ValueError(f"the metadata video of a node must be a path; got {quoted(video)}")
    for kind in ("clip", "scene"):
        if f"{kind}_start" in metadata and f"{kind}_end" in metadata:
            return video, (_seconds(metadata, f"{kind}_start"), _seconds(metadata, f"{kind}_end"))
    if "timestamp" in metadata and "duration" in metadata:
        start = _seconds(metadata, "timestamp")
        return video, (start, start + _seconds(metadata, "duration"))
    return None


def _seconds(metadata: dict[str, Any], name: str) -> float:
    try:
        return float(metadata[name])
    except (TypeError, ValueError) as error:
        raise ValueError(f"the metadata {name} of a node must be seconds; got {quoted(metadata[name])}") from error
