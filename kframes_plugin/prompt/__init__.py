"""What a model reads and writes: frames and a query in, key clips out. Text only: no torch, no decoder, no files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kframes_plugin.prompt.build import (
    DECIMALS,
    DEFAULT_FORMAT,
    RELEVANCE,
    Messages,
    PromptFormat,
    build_messages,
    duration_of,
    frame_content,
    split_images,
    write_mark,
)

if TYPE_CHECKING:
    from kframes_plugin.prompt.extract import MAX_REASON
    from kframes_plugin.prompt.parse import MAX_CLIPS, parse_clips
    from kframes_plugin.prompt.write import write_clips

# Imported on use: their patterns take 50 ms to compile, and lite, scenes and uniform read no answers.
_LAZY = {
    "MAX_CLIPS": "kframes_plugin.prompt.parse",
    "MAX_REASON": "kframes_plugin.prompt.extract",
    "parse_clips": "kframes_plugin.prompt.parse",
    "write_clips": "kframes_plugin.prompt.write",
}

__all__ = [
    "DECIMALS",
    "DEFAULT_FORMAT",
    "MAX_CLIPS",
    "MAX_REASON",
    "RELEVANCE",
    "Messages",
    "PromptFormat",
    "build_messages",
    "duration_of",
    "frame_content",
    "parse_clips",
    "split_images",
    "write_clips",
    "write_mark",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
