"""Videos that stay open between questions, for hosts that ask many: agents' tools, servers, retrievers."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from kframes_plugin.keyframes import Progress, check_request
from kframes_plugin.query.spans import check_range
from kframes_plugin.selection import Selection
from kframes_plugin.video.forks import ForkLock
from kframes_plugin.video.sources import path_of

if TYPE_CHECKING:
    from kframes_plugin.kframes import KFrames
    from kframes_plugin.session import Video, VideoSession

MOST_BYTES = 512 << 20  # of pictures: 256 candidates of 512 x 288 take 113 MB
MOST_VIDEOS = 16

Key = tuple[Any, ...]


class KeptSessions:
    """Sessions of one KFrames, by what lies in the file; those not used for longest are closed first.

    Threads may share it: one question is answered at a time, as a model on a GPU needs it.

    Args:
        kframes: answers.
        most_bytes: of pictures that the sessions hold together, >= 0; the last one used stays.
        most_videos: files open at a time, >= 1.

    Attributes:
        lock: held while a question is answered.
    """

    def __init__(self, kframes: KFrames, *, most_bytes: int = MOST_BYTES, most_videos: int = MOST_VIDEOS) -> None:
        if most_bytes < 0 or most_videos < 1:
            raise ValueError(f"most_bytes must be >= 0 and most_videos >= 1; got {most_bytes} and {most_videos}")
        self.lock = ForkLock()
        self._kframes, self._most_bytes, self._most_videos = kframes, most_bytes, most_videos
        self._progress: Progress | None = None  # of the question that is being answered
        self._sessions: OrderedDict[Key, VideoSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def select(
        self, video: Video, query: str, k: int = 8, *, progress: Progress | None = None, **options: Any
    ) -> Selection:
        """As :meth:`KFrames.select`. A file that was written anew is opened anew; what is no file is never kept.

        Args:
            video, query, k, progress: as there.
            options: ``strategy``, ``within``, ``start`` and ``end``, as there.

        Raises:
            TypeError, ValueError, VideoError, SelectorError: as there.
        """
        check_request(query, k, options.get("strategy"))
        check_range(options.get("start"), options.get("end"))
        with self.lock:
            key = _identify(video)
            if key is None:
                return self._kframes.select(video, query, k, progress=progress, **options)
            self._progress, session = progress, self._sessions.pop(key, None)
            try:
                if session is None:
                    session = self._kframes.open(video, progress=self._tell)
                return session.select(query, k, **options)
            finally:
                self._progress = None
                if session is not None:
                    self._sessions[key] = session
                    self._trim()

    def _tell(self, step: str, done: int, total: int) -> None:
        """Progress of the question that is being answered."""
        if self._progress is not None:
            self._progress(step, done, total)

    def close(self) -> None:
        """Close all videos."""
        with self.lock:
            while self._sessions:
                self._sessions.popitem()[1].close()

    def _trim(self) -> None:
        while len(self._sessions) > 1 and (
            len(self._sessions) > self._most_videos
            or sum(session.kept_bytes for session in self._sessions.values()) > self._most_bytes
        ):
            self._sessions.popitem(last=False)[1].close()


def _identify(video: Video) -> Key | None:
    """What a path names now: file, length, time of writing; None for what is no file here."""
    if not isinstance(video, str | os.PathLike):
        return None
    path = path_of(os.fspath(video))
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return os.path.realpath(path), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
