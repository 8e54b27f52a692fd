"""What a model reads and writes: frames and a query in, key clips out. Text only: no torch, no decoder, no files."""

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
from kframes_plugin.prompt.extract import MAX_REASON
from kframes_plugin.prompt.parse import MAX_CLIPS, parse_clips
from kframes_plugin.prompt.write import write_clips

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
