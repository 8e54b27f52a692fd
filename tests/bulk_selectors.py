"""Selectors for worker processes, in a module that is quick to import."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from kframes_plugin import Clip, Frame


def third(frames: Sequence[Frame], query: str) -> list[Clip]:
    """A clip whose place depends on the query, so that answers cannot be mixed up unseen."""
    start = frames[int(query) % len(frames)].timestamp
    return [Clip(start, start + 1.0, reason=query)]


def deadly(frames: Sequence[Frame], query: str) -> list[Clip]:
    """Ends its process at one query, as the system does with one that takes all memory."""
    if query == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    return third(frames, query)
