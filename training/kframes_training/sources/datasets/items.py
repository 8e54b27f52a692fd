"""Item: one question on one video with its truth, whatever file it came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kframes_plugin.types import Span

Subtitle = tuple[float, float, str]  # start and end in seconds of the video, text


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes:
        id: of the question, unique in its data set.
        video: where the video file is, or would be.
        query: what a selector is asked, in words.
        question: what an answerer is asked, without the options; "" where there is nothing to answer.
        options: of a multiple-choice question, none otherwise.
        answer: index of the right option, or None where it is not told (or there are no options).
        scenes: true evidence: scenes, each of one or more spans [start, end), seconds.
        points: true evidence as single times, seconds.
        absent: True where it is known that nothing in the video matches the query.
        duration: of the video as the data set tells it, seconds > 0, or None. It may be wrong.
        groups: the data set's own fields by which results are grouped, name -> value.
        subtitles: of the video, in time order; empty where there are none or they were not asked for.

    Raises:
        ValueError: a field is out of its range; the message names the item.
    """

    id: str
    video: Path
    query: str
    question: str = ""
    options: tuple[str, ...] = ()
    answer: int | None = None
    scenes: tuple[tuple[Span, ...], ...] = ()
    points: tuple[float, ...] = ()
    absent: bool = False
    duration: float | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    subtitles: tuple[Subtitle, ...] = ()

    def __post_init__(self) -> None:
        if not self.query.strip():
            raise ValueError(f"item {self.id}: the query is empty; say in words what to look for")
        if self.absent and (self.scenes or self.points):
            raise ValueError(f"item {self.id}: absent says that nothing matches, but there are true spans or points")
        if self.answer is not None and not 0 <= self.answer < len(self.options):
            raise ValueError(f"item {self.id}: answer {self.answer} is none of its {len(self.options)} options")
        for start, end in self.spans:
            if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
                raise ValueError(f"item {self.id}: a true span needs 0 <= start < end, seconds; got {start} to {end}")
        if any(not math.isfinite(point) or point < 0 for point in self.points):
            raise ValueError(f"item {self.id}: true points must be seconds >= 0; got {self.points}")

    @property
    def spans(self) -> tuple[Span, ...]:
        """All true spans, whatever scene they are of."""
        return tuple(span for scene in self.scenes for span in scene)

    @property
    def evidence(self) -> int:
        """How many pieces of evidence there are: scenes, or points where there are no scenes."""
        return len(self.scenes) or len(self.points)


@dataclass(frozen=True)
class Data:
    """What was read from a file.

    Attributes:
        kind: name of its reader.
        items: all questions that could be read, in the order of the file.
        odd: what could not be read as it stands, one sentence each, with the item or line.
    """

    kind: str
    items: tuple[Item, ...]
    odd: tuple[str, ...] = ()

    @property
    def present(self) -> tuple[Item, ...]:
        """Items whose video file is there."""
        there = {video: video.is_file() for video in {item.video for item in self.items}}
        return tuple(item for item in self.items if there[item.video])

    @property
    def missing(self) -> tuple[str, ...]:
        """Paths of the videos that are not there, sorted."""
        return tuple(sorted({str(item.video) for item in self.items if not item.video.is_file()}))
