"""kframes: key clips and any-k keyframes of long videos, for multimodal LLMs.

>>> import kframes_plugin
>>> selection = kframes_plugin.select("match.mp4", "When is the goal scored?", k=8)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kframes_plugin.errors import AnswererError, KFramesError, SelectorError, VideoError
from kframes_plugin.types import Candidates, Clip, Cost, Frame, Prediction, Selector

if TYPE_CHECKING:
    from kframes_plugin.clips.allocation import allocate
    from kframes_plugin.kframes import KFrames, select
    from kframes_plugin.selection import Selection
    from kframes_plugin.session import VideoSession
    from kframes_plugin.video import OpenVideo

__version__ = "0.1.0"

# Imported on use, so that `import kframes_plugin` stays far under half a second.
_LAZY = {
    "KFrames": "kframes_plugin.kframes",
    "OpenVideo": "kframes_plugin.video",
    "Selection": "kframes_plugin.selection",
    "VideoSession": "kframes_plugin.session",
    "allocate": "kframes_plugin.clips.allocation",
    "select": "kframes_plugin.kframes",
}

__all__ = [
    "AnswererError",
    "Candidates",
    "Clip",
    "Cost",
    "Frame",
    "KFrames",
    "KFramesError",
    "OpenVideo",
    "Prediction",
    "Selection",
    "Selector",
    "SelectorError",
    "VideoError",
    "VideoSession",
    "allocate",
    "select",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
