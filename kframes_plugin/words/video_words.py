"""The words of one opened video, read when they are first needed."""

from __future__ import annotations

from collections.abc import Sequence

from kframes_plugin.types import Candidates, Line, Note, Span
from kframes_plugin.video import OpenVideo
from kframes_plugin.words.options import WordOptions
from kframes_plugin.words.transcript import Read, read_transcript


class VideoWords:
    """What is said in a video, and what stands on its pictures.

    Args:
        video: the opened video.
        options: where its words come from.
    """

    def __init__(self, video: OpenVideo, options: WordOptions) -> None:
        self._video, self._options = video, options
        self._read: Read | None = None

    @property
    def transcript(self) -> tuple[Line, ...]:
        """The lines that are spoken, seconds from the first frame.

        Raises:
            VideoError, TypeError, ValueError: as for :func:`~kframes_plugin.words.transcript.read_transcript`.
        """
        return self._known()[0]

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was out of the ordinary."""
        return self._known()[1]

    def give_to(self, frames: Candidates, within: Sequence[Span] = ()) -> None:
        """Put the words on candidates; with spans, only what is said in them."""
        spans = within or [(0.0, self._video.duration)]
        lines = (line for line in self.transcript if any(line.start < end and start < line.end for start, end in spans))
        frames.transcript = tuple(lines)

    def _known(self) -> Read:
        if self._read is None:
            self._read = read_transcript(self._video, self._options)
        return self._read
