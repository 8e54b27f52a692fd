"""Keyframes as LlamaIndex's documents and nodes, and which KFrames makes them."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from llama_index.core.schema import ImageDocument, ImageNode, NodeWithScore

from kframes_plugin.kframes import KFrames
from kframes_plugin.output.documents import KeyframeDocument, keyframe_documents
from kframes_plugin.output.messages import clock
from kframes_plugin.selection import Selection
from kframes_plugin.text import printable, quoted

SHOWN = "frame"  # the only metadata a model reads: hosts drop the text of image nodes, but not their metadata


def as_kframes(given: KFrames | str) -> KFrames:
    """The KFrames itself, or the one of a name (loaded once a process, since workers have only the name)."""
    return given if isinstance(given, KFrames) else _loaded(given)


def check_kframes(given: Any) -> None:
    """TypeError for what is neither a KFrames nor the name of a selector."""
    if not isinstance(given, KFrames) and not (isinstance(given, str) and given):
        raise TypeError(f"kframes must be a KFrames, or the name of a selector; got {quoted(given)}")


def default_out() -> str:
    """Where JPEGs go when nothing else was said: kframes/frames in the user's cache directory."""
    return str(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kframes" / "frames")


def documents(
    selection: Selection, out: str | os.PathLike[str], extra: dict[str, Any] | None = None
) -> list[ImageDocument]:
    """One ImageDocument a keyframe, with its picture's path, its times and the same id on every run."""
    return [
        ImageDocument(image_path=r.metadata["image_path"], **_fields(r, extra))
        for r in keyframe_documents(selection, out)
    ]


def nodes(selection: Selection, out: str | os.PathLike[str]) -> list[NodeWithScore]:
    """One ImageNode a keyframe; its score is that of its clip, where the selector gives one."""
    found = keyframe_documents(selection, out)
    return [
        NodeWithScore(node=ImageNode(image_path=r.metadata["image_path"], **_fields(r)), score=r.metadata.get("score"))
        for r in found
    ]


def _fields(keyframe: KeyframeDocument, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = {**(extra or {}), **keyframe.metadata}
    time = keyframe.metadata["timestamp"]
    metadata[SHOWN] = f"{clock(time)} ({time:.1f} s) of {printable(Path(keyframe.metadata['video']).name)}"
    hidden = [key for key in metadata if key != SHOWN]
    return {
        "id_": keyframe.id,
        "text": keyframe.text,
        "metadata": metadata,
        "excluded_embed_metadata_keys": [*hidden, SHOWN],
        "excluded_llm_metadata_keys": hidden,
    }


@lru_cache(maxsize=4)
def _loaded(name: str) -> KFrames:
    return KFrames.from_pretrained(name)
