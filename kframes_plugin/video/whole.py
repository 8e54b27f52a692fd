"""What people are told while all of a video is decoded to find its frames: an estimate before, and how far it is."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

log = logging.getLogger("kframes")

_PIXELS_A_SECOND = 400e6  # of one thread; 430 (HEVC) to 1,070 million (MPEG-4) were measured
_WORTH_TELLING = 1.0  # seconds
_PAUSE = 10.0  # seconds from one line of the log to the next


class WholePass:
    """Call it with the number of frames decoded so far.

    Args:
        path: of the video.
        frames: how many there may be.
        pixels: of one of them.
        progress: called as ``progress(done, frames)``, ten times a second at most.
    """

    def __init__(self, path: str, frames: int, pixels: int, progress: Callable[[int, int], None] | None) -> None:
        self._path, self._frames, self._progress = path, frames, progress
        self._started = self._shown = self._logged = time.monotonic()
        seconds = frames * pixels / _PIXELS_A_SECOND
        if seconds >= _WORTH_TELLING:
            text = "%s: all of its %d frames have to be decoded to find them, once: about %s"
            log.warning(text, path, frames, _say(seconds))

    def __call__(self, done: int) -> None:
        """Show it on the bar; where stderr is no terminal, or nothing shows it, write it to the log."""
        now, total = time.monotonic(), max(self._frames, done)
        if self._progress is not None and (now - self._shown > 0.1 or done == total):
            self._shown = now
            self._progress(done, total)
        if now - self._logged > _PAUSE and (self._progress is None or not sys.stderr.isatty()):
            self._logged = now
            left = (now - self._started) / done * (total - done)
            log.warning("%s: %d of %d frames decoded, about %s left", self._path, done, total, _say(left))


def _say(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
