"""Questions of stage 3, whatever the video: what the answerer sees at chosen times, and what it must choose."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from kframes_plugin.types import Frame, Span
from kframes_plugin.video import OpenVideo
from kframes_training.sources.synthscenes.language import Question
from kframes_training.sources.synthscenes.paint import paint
from kframes_training.sources.synthscenes.world import Video

OPENED = 4  # videos that stay open: the answers to one question are about the same video


class Asked(Protocol):
    """A multiple-choice question on a video.

    Attributes:
        text: the question, without its options.
        options: 2 to 26.
        answer: index of the right one.
        evidence: spans that hold the answer, seconds; may be empty where they are not known.
    """

    @property
    def text(self) -> str: ...
    @property
    def options(self) -> Sequence[str]: ...
    @property
    def answer(self) -> int: ...
    @property
    def evidence(self) -> Sequence[Span]: ...

    def show(self, timestamps: Sequence[float], size: tuple[int, int]) -> list[Frame]:
        """The frames at some times, seconds, as (width, height) pictures."""


@dataclass(frozen=True)
class DrawnQuestion:
    """A question on a SynthScenes video, whose frames are drawn."""

    video: Video
    question: Question

    @property
    def text(self) -> str:
        return self.question.text

    @property
    def options(self) -> Sequence[str]:
        return self.question.options

    @property
    def answer(self) -> int:
        return self.question.answer

    @property
    def evidence(self) -> Sequence[Span]:
        return [(self.video.scenes[i].start, self.video.scenes[i].end) for i in self.question.evidence]

    def show(self, timestamps: Sequence[float], size: tuple[int, int]) -> list[Frame]:
        """See :class:`Asked`."""
        return [Frame(time, 1.0, Image.fromarray(paint(self.video, time, size))) for time in timestamps]


@dataclass(frozen=True)
class FilmedQuestion:
    """A question on a video file, whose frames are decoded."""

    video: Path
    text: str
    options: Sequence[str]
    answer: int
    evidence: Sequence[Span] = ()

    def show(self, timestamps: Sequence[float], size: tuple[int, int]) -> list[Frame]:
        """See :class:`Asked`."""
        return _open(self.video).frames_at(timestamps, size)


_opened: OrderedDict[Path, OpenVideo] = OrderedDict()


def _open(path: Path) -> OpenVideo:
    """The video, opened or still open."""
    if path not in _opened:
        _opened[path] = OpenVideo(path)
        while len(_opened) > OPENED:
            _opened.popitem(last=False)[1].close()
    return _opened[path]
