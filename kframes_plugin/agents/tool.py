"""VideoTool: kframes as a tool that a language model calls. Behind LangChain's tool and the MCP server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from kframes_plugin.agents.allowed_paths import AllowedPaths
from kframes_plugin.agents.folder import FoundVideos, search_folder
from kframes_plugin.agents.payload import Pictures, fit_pictures
from kframes_plugin.chat.images import LONG_SIDE, QUALITY
from kframes_plugin.errors import KFramesError
from kframes_plugin.keyframes import Progress, log_notes
from kframes_plugin.kframes import KFrames
from kframes_plugin.output.messages import frame_table
from kframes_plugin.query.spans import Time
from kframes_plugin.selection import Selection
from kframes_plugin.text import LONGEST, brief, printable, quoted
from kframes_plugin.types import Note

NAME = "select_video_frames"
DESCRIPTION = (
    "Look at a video: finds the moments that matter to a query and returns exactly k of its frames as images, with a "
    "numbered table of their times. Ask again with another query or a larger k to see more. For a folder it finds the "
    "videos that match best and shows the first of them; ask for another by its name."
)
VIDEO = 'Path of the video file, or of a folder of videos, relative to the directories this tool may read; "." for all.'
QUERY = "What to look for, in words; for a question, the question itself."
K = "How many frames to return."
START = 'Look only after this time: seconds, or a time such as "1:30".'
END = 'Look only before this time: seconds, or a time such as "1:30".'
DEFAULT_K = 8
MAX_K = 32  # pictures: more does not fit the context of most models
MAX_BYTES = 100_000  # of an answer: some 25,000 tokens where a host counts it as text
LEAST_BYTES = 10_000
MOST_CLIPS = MOST_NOTES = 16  # of an answer


@dataclass(frozen=True)
class Shown:
    """What the tool answers.

    Attributes:
        table: the frames as numbered lines with their times and clips.
        frames: (caption, JPEG as base64) of each frame, in time order; or one sheet with all frames, as a note says.
        artifact: video, query, clips, times and notes as plain JSON values; of a folder also ``found``, the best
            videos with their clips.
    """

    table: str
    frames: Pictures
    artifact: dict[str, Any]


class VideoTool:
    """Select frames for a language model, which chooses the arguments; one call at a time for each KFrames.

    Args:
        kframes: the selector.
        allowed_paths: directories whose videos may be named; see :class:`AllowedPaths`.
        hosts: hosts whose URLs may be named; ``kframes`` must allow URLs too.
        max_k: largest k, >= 1.
        long_side, quality: of the JPEGs, see :meth:`Selection.to_openai`.
        max_bytes: of an answer, table, pictures in base64 and artifact together, >= 10,000: pictures are made smaller,
            and at last all frames are put on one sheet; a note says so. None: no limit.

    Raises:
        ValueError: no allowed_paths, something that is no directory, max_k < 1, max_bytes < 10,000, hosts for a KFrames
            without URLs.
    """

    def __init__(
        self,
        kframes: KFrames,
        *,
        allowed_paths: Iterable[str | os.PathLike[str]],
        hosts: Iterable[str] = (),
        max_k: int = MAX_K,
        long_side: int = LONG_SIDE,
        quality: int = QUALITY,
        max_bytes: int | None = MAX_BYTES,
    ) -> None:
        if max_k < 1:
            raise ValueError(f"max_k must be at least 1; got {max_k}")
        if max_bytes is not None and max_bytes < LEAST_BYTES:
            raise ValueError(f"max_bytes must be at least {LEAST_BYTES}, or None for no limit; got {max_bytes}")
        self.kframes = kframes
        self.allowed_paths = AllowedPaths(allowed_paths, hosts)
        if self.allowed_paths.hosts and not kframes.sampling.video_options.get("allow_urls"):
            raise ValueError('hosts= needs a KFrames that opens URLs: KFrames(..., video_options={"allow_urls": True})')
        self.max_k = max_k
        self.long_side = long_side
        self.quality = quality
        self.max_bytes = max_bytes

    def __call__(
        self,
        video: str,
        query: str,
        k: int = DEFAULT_K,
        start: Time | None = None,
        end: Time | None = None,
        *,
        progress: Progress | None = None,
    ) -> Shown:
        """Frames of a video for a query, of all of it or from start to end: seconds, or texts as "1:30".

        Of a folder, the best videos by name with their clips, and the frames of the first; the first question makes
        the folder's index, as ``kframes index`` does. Where nothing fits, no frames and a note.
        ``progress`` is called as for :meth:`KFrames.select`.

        Raises:
            KFramesError: every expected failure; the message is for the language model and says what it may do.
        """
        if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= self.max_k:
            raise KFramesError(f"k must be a whole number from 1 to {self.max_k}; got {quoted(k)}")
        if not isinstance(query, str) or not query.strip():
            raise KFramesError("query must not be empty; say in words what to look for")
        videos = self.allowed_paths.find_videos(video)
        found = None
        try:
            if videos is not None:
                found = search_folder(self.kframes, self.allowed_paths, videos, query)
                if not found.hits:
                    nothing = {"clips": [], "timestamps": [], "notes": found.notes, "found": []}
                    return Shown(found.table, (), {"query": query, "k": k, **nothing})
                video = videos[found.hits[0].video]
            path = self.allowed_paths.resolve(video)
            selection = self.kframes.kept.select(path, query, k, start=start, end=end, progress=progress)
        except KFramesError as error:
            raise type(error)(self._told(str(error))) from error
        except TypeError as error:  # a start or an end of another type: pydantic's hosts refuse it before
            raise KFramesError(self._told(str(error))) from error
        return self._show(selection, video, found)

    def _told(self, message: str) -> str:
        """A message as an agent may read it: no place of this machine, nothing that steers a terminal."""
        return printable(self.allowed_paths.relative(message))

    def _show(self, selection: Selection, video: str, found: FoundVideos | None) -> Shown:
        """The answer, within its bytes."""
        told = replace(
            selection,
            query=brief(selection.query),
            clips=tuple(replace(clip, reason=brief(printable(clip.reason))) for clip in selection.clips),
            notes=tuple(Note(note.code, brief(self._told(note.text))) for note in selection.notes[:MOST_NOTES]),
        )
        room = self.max_bytes
        if room is not None:
            text = _table(told, video, found) + json.dumps(self._artifact(told, video, found))
            room -= len(text.encode()) + 2 * LONGEST  # the note to come stands in both
        frames, notes = fit_pictures(told, room, long_side=self.long_side, quality=self.quality)
        log_notes(selection.video, notes)
        told = replace(told, notes=(*told.notes, *notes))
        return Shown(_table(told, video, found), frames, self._artifact(told, video, found))

    def _artifact(self, selection: Selection, video: str, found: FoundVideos | None) -> dict[str, Any]:
        return {
            "video": printable(video),
            "query": printable(selection.query),
            "k": selection.k,
            "strategy": selection.strategy,
            "duration": selection.duration,
            "clips": [asdict(clip) for clip in selection.clips[:MOST_CLIPS]],
            "timestamps": selection.timestamps,
            "notes": [asdict(note) for note in selection.notes],
            **({} if found is None else {"found": found.rows}),
        }


def _table(selection: Selection, video: str, found: FoundVideos | None) -> str:
    table = frame_table(selection, most_clips=MOST_CLIPS)
    return table if found is None else f"{found.table}\nOf {printable(video)}: {table}"
