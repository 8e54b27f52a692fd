"""KFramesReader: videos as image documents."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from llama_index.core.readers.base import BasePydanticReader, BaseReader
from llama_index.core.schema import Document, ImageDocument
from pydantic import ConfigDict, Field, PrivateAttr

from kframes_llama_index.nodes import as_kframes, check_kframes, default_out, documents
from kframes_plugin.cancellation import run_in_thread
from kframes_plugin.keyframes import check_request
from kframes_plugin.kframes import KFrames
from kframes_plugin.query.spans import Time, check_range
from kframes_plugin.video.suffixes import SUFFIXES


class KFramesReader(BasePydanticReader):
    """k keyframes of every video as ImageDocuments: picture path, times and clip in the metadata.

    Works inside ``SimpleDirectoryReader(file_extractor=reader.for_videos())``, which has no query to pass, so the query
    is a setting of the reader: what the index is about. A suffix without a reader there is read as text, a video's too.
    With ``num_workers`` the reader travels to other processes: give a name then, and each loads the selector itself.
    Pass ``raise_on_error=True`` there, or broken videos are left out with a printed line only.

    Args:
        kframes: the selector: a KFrames, or a name for :meth:`KFrames.from_pretrained`.
        query: what is looked for.
        k: documents a video, >= 1.
        out: directory for the JPEGs; documents keep their paths, so it must stay. None: kframes/frames in the user's
            cache directory.
        start, end: look only here in every video, as for :meth:`KFrames.select`.
    """

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    query: str
    k: int = Field(8, ge=1)
    out: str = Field(default_factory=default_out)
    start: Time | None = None
    end: Time | None = None

    _kframes: KFrames | None = PrivateAttr(default=None)

    def __init__(
        self,
        kframes: KFrames | str | None = None,
        query: str = "",
        k: int = 8,
        *,
        out: str | os.PathLike[str] | None = None,
        model: str | None = None,
        **options: Any,
    ) -> None:
        check_request(query, k, None)
        check_range(options.get("start"), options.get("end"))
        if kframes is not None:
            check_kframes(kframes)
        named = kframes if isinstance(kframes, str) else model
        where = default_out() if out is None else os.path.abspath(out)
        super().__init__(**options | {"model": named, "query": query, "k": k, "out": where})
        self._kframes = kframes if isinstance(kframes, KFrames) else None

    @classmethod
    def class_name(cls) -> str:
        """The name LlamaIndex keeps in serialised readers."""
        return "KFramesReader"

    def for_videos(self) -> dict[str, BaseReader]:
        """The reader for every suffix of a video: ``SimpleDirectoryReader(folder, file_extractor=...)``."""
        return dict.fromkeys(SUFFIXES, self)

    def lazy_load_data(
        self,
        file: str | os.PathLike[str],
        query: str | None = None,
        k: int | None = None,
        extra_info: dict[str, Any] | None = None,
        fs: Any = None,
        *,
        start: Time | None = None,
        end: Time | None = None,
    ) -> Iterable[ImageDocument]:
        """The documents of one video, in time order.

        Args:
            file: a local video.
            query, k, start, end: instead of the reader's own.
            extra_info: more metadata.
            fs: as SimpleDirectoryReader passes it; only local files can be read.

        Raises:
            VideoError, SelectorError: as for :meth:`KFrames.select`.
            TypeError, ValueError: wrong arguments, files that are not local, or no selector.
        """
        if fs is not None:
            raise ValueError("only local videos can be read; copy them first and leave fs out")
        kframes = self._selecting()
        query, k = self.query if query is None else query, self.k if k is None else k
        start, end = self.start if start is None else start, self.end if end is None else end
        selection = kframes.kept.select(file, query, k, start=start, end=end)
        return documents(selection, self.out, extra_info)

    async def alazy_load_data(self, *args: Any, **options: Any) -> Iterable[ImageDocument]:
        """The same from another thread; where the task is cancelled, the work stops."""
        return await run_in_thread(self.lazy_load_data, *args, **options)

    async def aload_data(self, *args: Any, **options: Any) -> list[Document]:
        """The same as a list."""
        return await run_in_thread(self.load_data, *args, **options)

    def _selecting(self) -> KFrames:
        if self._kframes is not None:
            return self._kframes
        if self.model is None:
            raise ValueError(
                "this reader has lost its KFrames, which cannot be pickled or serialised; give KFramesReader the name "
                'of a selector instead, as KFramesReader("scenes", query)'
            )
        return as_kframes(self.model)

    def __getstate__(self) -> dict[str, Any]:
        """For workers: the settings, and the KFrames only where it pickles."""
        state = super().__getstate__()
        (state.get("__pydantic_private__") or {}).setdefault("_kframes", None)
        return state
