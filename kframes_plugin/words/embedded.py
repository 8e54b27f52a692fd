"""Subtitle streams inside a video file (mov_text, subrip, ass, webvtt and whatever FFmpeg turns into text).

MP4 and MOV tell where the subtitles lie, so little else is read; other containers are read through once more, without
decoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import av
from av.stream import Disposition
from av.subtitles.subtitle import AssSubtitle

from kframes_plugin.types import Note
from kframes_plugin.video.opening import demux, open_container, read_only
from kframes_plugin.words.languages import plain_code
from kframes_plugin.words.options import Spoken

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.subtitles.stream import SubtitleStream
    from av.video.stream import VideoStream

    from kframes_plugin.video.decoder import VideoFile

# Subtitles as pictures: to read them would be OCR.
PICTURES = {"dvd_subtitle", "dvb_subtitle", "hdmv_pgs_subtitle", "xsub", "dvb_teletext"}
MAX_LINES = 100_000  # of one video; an hour of speech has some 1,500
STAY = 4.0  # seconds that a line stands whose end is not told


def read_embedded(file: VideoFile, language: str | None) -> tuple[list[Spoken], list[Note]]:
    """The lines of the best subtitle stream, seconds by the file's own clock.

    Args:
        file: the video.
        language: of the subtitles; None: the stream marked as default, else the first.

    Returns:
        The lines, none where the file has no subtitles as text in that language; and what is to be said.

    Raises:
        VideoError: the file cannot be opened again.
    """
    with open_container(file.path, file.local, file.limits) as container:
        streams = list(container.streams.subtitles)
        texts = [one for one in streams if one.codec_context is not None and one.codec_context.name not in PICTURES]
        notes = []
        if streams and not texts:
            notes.append(Note("transcript-pictures", "the subtitles in the file are pictures and are not read"))
        stream = choose_stream(texts, language)
        if stream is None:
            return [], notes
        read_only(container, stream)
        lines: list[Spoken] = []
        try:
            for line in _read(container, stream):
                if len(lines) == MAX_LINES:
                    notes.append(Note("transcript-cut", f"the first {MAX_LINES:,} subtitles were read, no more"))
                    break
                lines.append(line)
        except av.FFmpegError as error:
            notes.append(Note("transcript-unreadable", f"the subtitles in the file end early: {error}"))
        return lines, notes


def choose_stream(streams: Iterable[SubtitleStream], language: str | None) -> SubtitleStream | None:
    """The stream of a language: the default one before others, forced ones (signs only) last; None: there is none."""
    fitting = [one for one in streams if language is None or plain_code(one.language or "") == plain_code(language)]
    return min(fitting, key=_rank, default=None)


def _rank(stream: SubtitleStream) -> tuple[bool, bool, int]:
    marks = stream.disposition
    return bool(marks & Disposition.forced), not marks & Disposition.default, stream.index


def _read(container: InputContainer, stream: SubtitleStream) -> Iterator[Spoken]:
    """Lines of a stream. A packet that cannot be decoded is passed over, as players do."""
    tick = stream.time_base
    packets: Iterator[Any] = demux(container, cast("VideoStream", stream))
    for packet in packets:
        if not packet.size or packet.pts is None or tick is None:
            continue
        try:
            shown = stream.decode2(packet)
        except (av.FFmpegError, ValueError):
            continue
        start = float(packet.pts * tick)
        length = float(packet.duration * tick) if packet.duration else STAY
        for one in shown if shown is not None else ():
            if isinstance(one, AssSubtitle):
                yield start, start + length, one.dialogue.decode("utf-8", errors="replace")
