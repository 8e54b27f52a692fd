"""A folder that a language model names: the videos in it that fit a query, by the names it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kframes_plugin.agents.allowed_paths import AllowedPaths
from kframes_plugin.errors import KFramesError
from kframes_plugin.kframes import KFrames
from kframes_plugin.output.messages import clock
from kframes_plugin.search import NAME, Hits
from kframes_plugin.text import brief, printable

MOST = 4  # videos that an answer names


@dataclass(frozen=True)
class FoundVideos:
    """The videos of a folder that fit a query.

    Attributes:
        hits: as :meth:`KFrames.search` finds them; none: nothing fits, and a note says why.
        names: what each may be called, by its path.
    """

    hits: Hits
    names: Mapping[str, str]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Video, score and clips of each as plain JSON values, best first."""
        return [
            {
                "video": self.names[hit.video],
                "score": hit.score,
                "clips": [{"start": clip.start, "end": clip.end, "score": clip.score} for clip in hit.clips],
            }
            for hit in self.hits
        ]

    @property
    def notes(self) -> list[dict[str, str]]:
        """Why there is none, and which videos cannot be read, as plain JSON values."""
        broken = [self.names[video] for video in self.hits.errors]
        told = [{"code": note.code, "text": note.text} for note in self.hits.notes]
        if broken:
            text = f"cannot be read, so not searched: {', '.join(broken[:MOST])}"
            told.append({"code": "damaged", "text": printable(text + (" ..." if len(broken) > MOST else ""))})
        return told

    @property
    def table(self) -> str:
        """The same as lines of text."""
        first = f"{self.hits.searched} videos were searched for: {brief(printable(self.hits.query))}"
        lines = [first if self.hits else f"{first}\nNone fits. Try other words, or name a video."]
        for number, hit in enumerate(self.hits, 1):
            clips = ", ".join(f"{clock(clip.start)}-{clock(clip.end)}" for clip in hit.clips)
            lines.append(f"Video {number} = {printable(self.names[hit.video])}, clips {clips}")
        return "\n".join([*lines, *(f"Note: {note['text']}" for note in self.notes)])


def search_folder(kframes: KFrames, allowed: AllowedPaths, names: Mapping[str, str], query: str) -> FoundVideos:
    """The best videos among those that may be named; the index lies in the first allowed directory.

    Args:
        kframes: the selector.
        allowed: whose directories hold the videos.
        names: of the videos by path, as :meth:`AllowedPaths.find_videos` gives them.
        query: in words.

    Raises:
        KFramesError: there are no videos, or no index can be kept.
    """
    if not names:
        raise KFramesError("this folder holds no videos; name another, or a video")
    with kframes.kept.lock:
        hits = kframes.search(list(names), query, MOST, index=allowed.directories[0] / NAME)
    return FoundVideos(hits, names)
