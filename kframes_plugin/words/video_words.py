"""The words of one opened video, read when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kframes_plugin.types import Candidates, Frame, Line, Note, Span
from kframes_plugin.video import OpenVideo
from kframes_plugin.words.options import ReadText, WordOptions
from kframes_plugin.words.screen import LEAST_SIZE, SIZE, Budget, RapidOCR, read_screen
from kframes_plugin.words.transcript import Read, read_transcript

READABLE = (
    256  # candidates in which text is looked for; where a selector wants far fewer, they are taken for this alone
)


class VideoWords:
    """What is said in a video, and what stands on its pictures.

    Args:
        video: the opened video.
        options: where its words come from.
        progress: called as ``progress("text on screen", done, total)``.
    """

    def __init__(
        self, video: OpenVideo, options: WordOptions, progress: Callable[[str, int, int], None] | None = None
    ) -> None:
        self._video, self._options, self._progress = video, options, progress
        self._read: Read | None = None
        self._recognise: ReadText = options.ocr if callable(options.ocr) else RapidOCR()
        self._texts: dict[float, str] = {}  # by the time of the picture
        self._screen_notes: tuple[Note, ...] = ()

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
        return (*self._known()[1], *self._screen_notes)

    def give_to(self, frames: Candidates, within: Sequence[Span] = ()) -> None:
        """Put the words on candidates; with spans, only what is said in them.

        Raises:
            VideoError, TypeError, ValueError: as for ``transcript``.
            SelectorError: text is to be read and rapidocr is not installed.
        """
        spans = within or [(0.0, self._video.duration)]
        lines = (line for line in self.transcript if any(line.start < end and start < line.end for start, end in spans))
        frames.transcript = tuple(lines)
        if self._options.ocr:
            progress = self._progress
            told = None if progress is None else lambda done, total: progress("text on screen", done, total)
            budget, shown = Budget(), self._readable(frames, within)
            read = read_screen(shown, self._video.duration, self._look, told, budget=budget)
            frames.screen_text, self._screen_notes = read

    def _readable(self, frames: Candidates, within: Sequence[Span]) -> Sequence[Frame]:
        """The candidates, or others where these are too small or too few to read."""
        largest = max(self._video.width, self._video.height)
        is_large = max(frames[0].image.size) >= min(LEAST_SIZE, largest)
        if is_large and len(frames) >= min(READABLE // 4, len(self._video.timestamps)):
            return frames
        return self._video.candidates(READABLE, SIZE, within=within)

    def _look(self, frame: Frame) -> str:
        """The text of a picture, read once."""
        if frame.timestamp not in self._texts:
            self._texts[frame.timestamp] = self._recognise(frame.image)
        return self._texts[frame.timestamp]

    def _known(self) -> Read:
        if self._read is None:
            self._read = read_transcript(self._video, self._options)
        return self._read
