"""KFramesLoader and KFramesRetriever: keyframes as text documents with times and picture paths in their metadata."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from kframes_plugin.agents.several_videos import select_over
from kframes_plugin.cancellation import run_in_thread
from kframes_plugin.keyframes import check_request
from kframes_plugin.kframes import KFrames
from kframes_plugin.output.documents import KeyframeDocument, keyframe_documents
from kframes_plugin.query.spans import Time, check_range
from kframes_plugin.text import quoted


class KFramesLoader(BaseLoader):
    """One document a keyframe of a video.

    ``page_content`` says which frame it is; ``metadata`` has ``source``, ``timestamp``, the clip and, where ``out`` is
    given, ``image_path``.

    Args:
        video: a file.
        query: what is looked for.
        k: documents wanted, >= 1; fewer where the video has fewer frames.
        kframes: the selector.
        out: directory for the JPEGs; None writes none.
        start, end: look only here, as for :meth:`KFrames.select`.
    """

    def __init__(
        self,
        video: str | os.PathLike[str],
        query: str,
        k: int = 8,
        *,
        kframes: KFrames,
        out: str | os.PathLike[str] | None = None,
        start: Time | None = None,
        end: Time | None = None,
    ) -> None:
        if not isinstance(kframes, KFrames):
            raise TypeError(f"kframes must be a KFrames; got {quoted(kframes)}")
        check_request(query, k, None)
        check_range(start, end)
        self.video, self.query, self.k, self.kframes, self.out = video, query, k, kframes, out
        self.start, self.end = start, end

    def lazy_load(self) -> Iterator[Document]:
        """The documents, in time order."""
        limits = {"start": self.start, "end": self.end}
        for selection in select_over(self.kframes, [self.video], self.query, self.k, **limits):
            yield from (_document(keyframe) for keyframe in keyframe_documents(selection, self.out))

    async def alazy_load(self) -> AsyncIterator[Document]:
        """The same from another thread; where the task is cancelled, the work stops."""
        documents: list[Document] = await run_in_thread(lambda: list(self.lazy_load()))
        for document in documents:
            yield document


class KFramesRetriever(BaseRetriever):
    """The k keyframes of some videos that fit a query.

    ``k``, ``start`` and ``end`` also for one call: ``retriever.invoke(query, k=3, start="1:30")``.

    Args:
        kframes: the selector.
        videos: files, and every query looks at all of them; or a folder, of which each query looks at the best four, as
            ``kframes.search`` finds them in the folder's index.
        k: documents wanted, >= 1.
        out: directory for the JPEGs; None writes none.
        start, end: look only here in every video, as for :meth:`KFrames.select`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    kframes: KFrames
    videos: Annotated[list[str | os.PathLike[str]], Field(min_length=1)] | str | os.PathLike[str]
    k: int = Field(8, ge=1, strict=True)
    out: str | os.PathLike[str] | None = None
    start: Time | None = None
    end: Time | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None, **limits: Any
    ) -> list[Document]:
        wanted = self.k if k is None else k
        check_request(query, wanted, None)
        if unknown := sorted(limits.keys() - {"start", "end"}):
            raise TypeError(f"unknown argument {quoted(unknown[0])}; known for one call are k, start and end")
        start, end = limits.get("start", self.start), limits.get("end", self.end)
        found = select_over(self.kframes, self.videos, query, wanted, start=start, end=end)
        return [_document(keyframe) for selection in found for keyframe in keyframe_documents(selection, self.out)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None, **limits: Any
    ) -> list[Document]:
        return await run_in_thread(
            self._get_relevant_documents, query, run_manager=run_manager.get_sync(), k=k, **limits
        )


def _document(keyframe: KeyframeDocument) -> Document:
    return Document(
        id=keyframe.id, page_content=keyframe.text, metadata={"source": keyframe.metadata["video"], **keyframe.metadata}
    )
