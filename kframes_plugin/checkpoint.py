"""``kframes.json``: how a checkpoint wants to be used. Written by training, read by ``loading.py``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from kframes_plugin.errors import SelectorError
from kframes_plugin.prompt import PromptFormat

FILE_NAME = "kframes.json"


@dataclass(frozen=True)
class CheckpointSettings:
    """What a checkpoint was trained with. The defaults are for models that were not trained for kframes.

    Attributes:
        candidates: T, the candidate frames of a video, >= 1. The paper's 256.
        frame_size: their long side, pixels, >= 1. 224 makes 40 tokens of a 16:9 frame in Qwen2.5-VL, so that 256
            frames with their times take some 13,000 tokens.
        max_new_tokens: the longest answer, tokens, >= 1. A clip with its reason takes about 50.
        format: how prompts and answers are written.

    Raises:
        ValueError: a number is out of its range.
    """

    candidates: int = 256
    frame_size: int = 224
    max_new_tokens: int = 512
    format: PromptFormat = field(default_factory=PromptFormat)

    def __post_init__(self) -> None:
        for name in ("candidates", "frame_size", "max_new_tokens"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a whole number >= 1; got {value!r}")

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write ``kframes.json`` into a checkpoint directory; returns its path."""
        path = Path(directory) / FILE_NAME
        row = asdict(self)
        row |= row.pop("format")
        path.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a ``kframes.json``. Keys that are missing keep their defaults.

        Raises:
            SelectorError: not JSON, an unknown key or a wrong value; the message names the file.
        """
        try:
            return cls._from_row(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise SelectorError(f"{path} cannot be used: {error}") from error

    @classmethod
    def _from_row(cls, row: dict[str, Any]) -> Self:
        if not isinstance(row, dict):
            raise ValueError(f"a JSON object is needed; got {type(row).__name__}")
        own = {item.name for item in fields(cls)} - {"format"}
        formats = {item.name for item in fields(PromptFormat)}
        if unknown := sorted(row.keys() - own - formats):
            raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(own | formats))}")
        fmt = PromptFormat(**{key: value for key, value in row.items() if key in formats})
        return cls(**{key: value for key, value in row.items() if key in own}, format=fmt)
