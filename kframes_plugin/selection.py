"""Selection: what ``KFrames.select`` gives back: clips, exactly k keyframes, cost and notes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from kframes_plugin.chat.images import LONG_SIDE, QUALITY, with_data_urls
from kframes_plugin.errors import VideoError
from kframes_plugin.evidence.near import add_lines
from kframes_plugin.keyframes import (
    KEYFRAME_CODES,
    SamplingOptions,
    check_request,
    choose_times,
    log_notes,
    take_keyframes,
    with_strategy,
)
from kframes_plugin.output.messages import answer_lines, chat_messages, vllm_data
from kframes_plugin.prompt.lines import TOKENS, write_transcript
from kframes_plugin.prompt.styles import video_metadata
from kframes_plugin.text import printable
from kframes_plugin.types import Clip, Cost, Frame, Line, Note, Span, Strategy
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.open_video import find_open

if TYPE_CHECKING:
    from PIL import Image


SCHEMA = "kframes.selection/2"


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """Key clips and keyframes of one video for one query: plain data, without a decoder inside.

    It can be pickled, copied, compared and hashed. Two selections are equal when video, query, k, strategy, clips and
    the times of the frames are.

    Attributes:
        video: path of the video; "" if frames were given instead.
        query: the query.
        k: frames asked for, >= 1.
        strategy: the strategy that was used: "focused", "hybrid" or "uniform".
        clips: the clips the selector chose, best first; may be empty.
        nearest: if the selector is unsure, all that may matter: spans with chances as scores, best first; may be empty.
        frames: min(k, frames in the video) distinct keyframes in time order.
        cost: frames decoded, model calls, tokens, seconds.
        notes: anything unusual, each with a code (``kframes_plugin.types.NOTE_CODES``) and a sentence.
        duration: length of the video, seconds.
        scenes: scenes seen in the candidate frames: spans that part [0, duration).
        transcript: the lines spoken near the frames and in the clips, in time order; a frame's own is its ``said``.
        candidates: timestamps of the candidate frames, seconds, ascending.
        sampling: how the frames were taken.
        selector: name and settings of the selector, as plain JSON values.
        source: key of the opened video in this process; see :func:`~kframes_plugin.video.open_video.find_open`.
    """

    video: str
    query: str
    k: int
    strategy: Strategy
    clips: tuple[Clip, ...]
    frames: tuple[Frame, ...]
    cost: Cost
    notes: tuple[Note, ...]
    duration: float
    nearest: tuple[Clip, ...] = ()
    scenes: tuple[Span, ...] = ()
    candidates: tuple[float, ...] = ()
    transcript: tuple[Line, ...] = ()
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    selector: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def _value(self) -> tuple[Any, ...]:
        return self.video, self.query, self.k, self.strategy, self.clips, tuple(self.timestamps)

    def __eq__(self, other: object) -> bool:
        return self._value() == other._value() if isinstance(other, Selection) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        video, query = Path(self.video).name or "frames", shorten(self.query, 60, placeholder=" ...")
        return (
            f"Selection({video!r}, {query!r}, k={self.k}, {self.strategy!r}, "
            f"{len(self.clips)} clips, {len(self.frames)} frames)"
        )

    def _repr_html_(self) -> str:
        """As a notebook shows it: what was found, the contact sheet and the clips."""
        from kframes_plugin.output.notebook import selection_html

        return selection_html(self)

    @property
    def timestamps(self) -> list[float]:
        """Times of the keyframes, seconds, ascending."""
        return [frame.timestamp for frame in self.frames]

    @property
    def images(self) -> list[Image.Image]:
        """The keyframes as RGB images, in time order."""
        return [frame.image for frame in self.frames]

    def resample(self, k: int | None = None, strategy: Strategy | None = None) -> Selection:
        """Take another number of frames from the same clips; no model is called.

        The video is opened again, unless its session is still open.

        Args:
            k: frames wanted, >= 1; as before when None.
            strategy: another strategy; the one asked for before when None ("auto" is resolved again for the new k).

        Raises:
            TypeError, ValueError: k is not a whole number >= 1, or an unknown strategy.
            VideoError: the video cannot be opened again.
        """
        k = check_request(self.query, self.k if k is None else k, strategy)
        options = with_strategy(self.sampling, strategy)
        with self.opened() as video:
            taken = take_keyframes(video, self.clips, k, options, nearest=self.nearest, scenes=self.scenes)
            duration = video.duration
        kept = tuple(note for note in self.notes if note.code not in KEYFRAME_CODES)
        new = tuple(note for note in taken.notes if note not in kept)
        log_notes(self.video, new)
        return replace(
            self,
            k=k,
            strategy=taken.strategy,
            frames=add_lines(taken.frames, self.transcript),
            cost=taken.cost,
            notes=kept + new,
            duration=duration,
            sampling=options,
        )

    @contextmanager
    def opened(self, path: str | os.PathLike[str] | None = None) -> Iterator[OpenVideo]:
        """The video: of the session that is still open, else opened for as long as it is needed.

        Args:
            path: where the video lies now; None: where it was.

        Raises:
            VideoError: it cannot be opened.
        """
        if path is None and (video := find_open(self.source)) is not None:
            yield video
        elif path is not None or self.video:
            with OpenVideo(self.video if path is None else path, **self.sampling.video_options) as video:
                yield video
        else:
            raise VideoError(
                "these frames came from memory, not from a file, and are gone; resample while their session is open"
            )

    def to_messages(
        self, question: str | None = None, *, reasons: bool = False, transcript: bool = False
    ) -> list[dict[str, Any]]:
        """One user message for a chat model: the time of every frame as text, the frame, and at the end the question.

        Args:
            question: what the answerer is asked; the query when None.
            reasons: put the clips with their reasons before the question. Off by default: they make answers worse
                (Video-MME at k = 32: 57.7 with reasons, 65.1 without; arXiv 2510.13891).
            transcript: put the lines that are spoken near the frames between them, at most about 2,000 tokens.
        """
        return chat_messages(self, question, reasons=reasons, transcript=transcript)

    def to_openai(
        self,
        question: str | None = None,
        *,
        reasons: bool = False,
        transcript: bool = False,
        long_side: int = LONG_SIDE,
        quality: int = QUALITY,
    ) -> list[dict[str, Any]]:
        """:meth:`to_messages` for OpenAI's chat completions and every compatible server: images as JPEG data URLs.

        Args:
            question, reasons, transcript: as for :meth:`to_messages`.
            long_side: pixels; larger frames are scaled down.
            quality: of the JPEGs, 1 to 95.
        """
        messages = self.to_messages(question, reasons=reasons, transcript=transcript)
        return with_data_urls(messages, long_side=long_side, quality=quality)

    def transcript_text(self, tokens: int = TOKENS) -> str:
        """The lines near the frames as one text, for prompts whose frames are one video, as vLLM's; "" without lines.

        Args:
            tokens: that it may take, estimated, >= 0.
        """
        return write_transcript(answer_lines(self, tokens))

    def to_vllm(self, *, repeat: int = 1) -> dict[str, Any]:
        """vLLM's ``multi_modal_data``: the frames as one video with their true times, not to be sampled again.

        For families that write the time of every frame (Qwen3-VL, GLM-4.xV, Gemma 4 ...); :meth:`to_openai` is right
        for all. The prompt needs the family's own mark for one video; :meth:`transcript_text` is what is said, for it.

        Args:
            repeat: pass every frame that often; 2 for models that fuse frames in pairs (Qwen-VL, GLM-V).

        Returns:
            ``{"video": [(frames, metadata)]}``, frames (n * repeat, height, width, 3) uint8.
        """
        return vllm_data(self, repeat=repeat)

    def video_metadata(self, *, repeat: int = 1) -> dict[str, Any]:
        """What a transformers processor must know of the frames as one video: ``VideoMetadata(**metadata)``.

        Pass it in ``processor_kwargs={"do_sample_frames": False, "video_metadata": [metadata]}``. The grid is one
        index a millisecond, so times are right for videos of variable frame rate too.

        Args:
            repeat: as for :meth:`to_vllm`.
        """
        return video_metadata(self.frames, self.duration, repeat=repeat)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as plain JSON values."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("frames", "sampling", "source")}
        plain |= {
            "schema": SCHEMA,
            "clips": [asdict(clip) for clip in self.clips],
            "nearest": [asdict(clip) for clip in self.nearest],
            "frames": [_plain_frame(frame) for frame in self.frames],
            "transcript": [asdict(line) for line in self.transcript],
            "cost": asdict(self.cost),
            "notes": [asdict(note) for note in self.notes],
            "selector": dict(self.selector),
            "sampling": asdict(self.sampling),
        }
        jsonable: dict[str, Any] = json.loads(json.dumps(plain))
        return jsonable

    def save(self, directory: str | Path, *, report: bool = False) -> Path:
        """Write ``selection.json`` and a JPEG per keyframe (quality 95) to a directory (created if missing); return it.

        A directory that holds a ``selection.json`` is complete: an earlier selection there is replaced atomically, and
        a process that is killed midway leaves none.

        Args:
            directory: where to write; other files in it are left alone.
            report: also write ``timeline.png``, ``contact_sheet.png`` and ``report.html``.

        Raises:
            KFramesError: it cannot be written.
        """
        from kframes_plugin.output.folder import write_folder

        write_folder(self, Path(directory), report=report)
        return Path(directory)

    @staticmethod
    def load(directory: str | Path) -> Selection:
        """Read what :meth:`save` wrote; it may come from elsewhere.

        Nothing is opened but the files of the directory. Of the options for opening the video only the decoder is
        kept: limits, and whether URLs may be opened, are not for a file to say.

        Raises:
            KFramesError: the directory holds no selection, or one that cannot be used.
        """
        from kframes_plugin.output.folder import read_folder

        return Selection(**read_folder(Path(directory), SCHEMA))

    def timeline(self) -> Image.Image:
        """The video as a picture of 2000 x 464 pixels: keyframes, clips, scenes and candidates over time."""
        from kframes_plugin.output.timeline import timeline_picture

        return timeline_picture(self)

    def contact_sheet(self, columns: int = 4, width: int = 320) -> Image.Image:
        """All keyframes on one sheet, each with its time and clip; ``width`` is that of one picture in pixels."""
        from kframes_plugin.output.contact_sheet import contact_sheet

        return contact_sheet(self, columns, width)

    def to_html(self, path: str | Path) -> Path:
        """Write the report: one HTML file that needs no network, shows what was found and re-allocates any k itself.

        The video is opened again for small pictures of the frames for other k, unless its session is still open.
        If it is gone, or has been replaced, the page shows only the frames of this k and says so.

        Raises:
            KFramesError: it cannot be written.
        """
        from kframes_plugin.output.report.page import write_html

        try:
            with self.opened() as video:
                self._check_same(video)
                return write_html(self, path, video)
        except VideoError as error:
            note = Note("no-slider", f"the report shows only k = {self.k}: {error}")
        log_notes(self.video, [note])
        return write_html(replace(self, notes=(*self.notes, note)), path, None)

    def _check_same(self, video: OpenVideo) -> None:
        """Raise VideoError if the video does not give the frames of this selection, or frames of another k may move."""
        if video.is_damaged.any():
            raise VideoError(f"{printable(self.video)} has damaged pictures, and frames move away from them")
        again = choose_times(video, self.clips, self.k, self.sampling, nearest=self.nearest, scenes=self.scenes)[0]
        if again != self.timestamps:
            raise VideoError(f"{printable(self.video)}: opened again, it no longer has the frames of this selection")


def _plain_frame(frame: Frame) -> dict[str, Any]:
    said = {"said": frame.said} if frame.said else {}
    return {"timestamp": frame.timestamp, "duration": frame.duration, **said}
