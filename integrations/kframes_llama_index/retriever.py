"""KFramesRetriever: the keyframes of some videos that fit a query."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeWithScore, QueryBundle

from kframes_llama_index.nodes import as_kframes, check_kframes, default_out, nodes
from kframes_plugin.agents.several_videos import select_over
from kframes_plugin.cancellation import run_in_thread
from kframes_plugin.keyframes import check_request
from kframes_plugin.kframes import KFrames
from kframes_plugin.query.spans import Time, check_range
from kframes_plugin.text import quoted


class KFramesRetriever(BaseRetriever):
    """min(k, all frames) keyframes over some videos as ImageNodes.

    Args:
        kframes: the selector: a KFrames, or a name for :meth:`KFrames.from_pretrained`.
        videos: files, at least one, and every query looks at all of them; or a folder, of which each query looks at the
            best four, as ``kframes.search`` finds them in the folder's index.
        k: nodes wanted, >= 1.
        out: directory for the JPEGs; None: kframes/frames in the user's cache directory.
        start, end: look only here in every video, as for :meth:`KFrames.select`.

    Raises:
        TypeError, ValueError: no videos, k < 1, or another wrong argument.
    """

    def __init__(
        self,
        kframes: KFrames | str,
        videos: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
        k: int = 8,
        *,
        out: str | os.PathLike[str] | None = None,
        start: Time | None = None,
        end: Time | None = None,
        **options: Any,
    ) -> None:
        is_folder = isinstance(videos, str | os.PathLike) and Path(videos).is_dir()
        if not is_folder and not (isinstance(videos, list | tuple) and videos):
            raise ValueError(f"videos must be a folder, or a list of at least one file; got {quoted(videos)}")
        check_kframes(kframes)
        check_request("-", k, None)
        check_range(start, end)
        super().__init__(**options)
        self.kframes, self.k = kframes, k
        self.videos = videos if isinstance(videos, str | os.PathLike) else list(videos)
        self.start, self.end = start, end
        self.out = default_out() if out is None else out

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        limits = {"start": self.start, "end": self.end}
        found = select_over(as_kframes(self.kframes), self.videos, query_bundle.query_str, self.k, **limits)
        return [node for selection in found for node in nodes(selection, self.out)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await run_in_thread(self._retrieve, query_bundle)  # the host's own blocks the event loop
