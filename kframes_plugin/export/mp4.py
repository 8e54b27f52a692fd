"""A clip as an MP4 file: its packets copied, or its pictures and sound encoded anew."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.codec.context import Flags

from kframes_plugin.errors import VideoError
from kframes_plugin.text import shortened
from kframes_plugin.types import Clip, Span
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.decoder import VideoFile
from kframes_plugin.video.opening import find_video_stream, open_container

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

_CLOCK = Fraction(1, 90_000)
_SOUND = 48_000  # samples a second
_EARLY = 1.0  # seconds before the I-frame from which is read: its sound may lie before it
_LATE = 10.0  # seconds behind the end at which is no longer waited for sound
_HELD = 512 << 20  # bytes of pictures in memory, 4 a pixel
_SAME = 1e-3  # seconds
_QUALITY = {"crf": "18", "preset": "veryfast", "bf": "0"}  # without B-frames MP4 says how long the last one stands


def copy_clip(video: OpenVideo, clip: Clip, path: Path) -> None:
    """Copy the packets of picture and sound, from the I-frame before the clip to its end.

    Raises:
        VideoError: MP4 cannot hold its streams, or they have no order in time; encode them.
    """
    if any(note.code == "times-restart" for note in video.notes) or not len(video.i_frames):
        raise VideoError(f"{shortened(video.path)}: its packets are not in order; use exact (--exact)")
    before = video.i_frames[video.i_frames <= clip.start + _SAME]
    file = _file(video)
    start = file.starts + (float(before[-1]) if len(before) else 0.0)
    with _told(video, "cannot be copied into MP4", "use exact (--exact)"), _reading(file) as source:
        picture = find_video_stream(source, file.path, file.limits)
        streams = [picture, *_sound_of(source)]
        with _writing(path) as out:
            copies = {one.index: out.add_stream_from_template(one, opaque=True) for one in streams}
            for packet in _packets(source, streams, (start, file.starts + clip.end)):
                base, copy = packet.time_base, copies[packet.stream.index]
                back = round(start / base)
                packet.pts, packet.dts = int(packet.pts or 0) - back, int(packet.dts or 0) - back
                packet.stream = copy
                out.mux(packet)
        if not path.exists():
            raise ValueError("no packet of it was found")


def _packets(source: InputContainer, streams: list[Any], span: Span) -> Iterator[Packet[Any]]:
    """The packets of a span of the file's own clock, from the I-frame at its start on, in the order of the file.

    The first of the streams is the picture. A picture behind the end comes along where those before it need it, and
    then nothing between is left out.
    """
    picture, (start, end) = streams[0], span
    source.seek(round((start - _EARLY) / picture.time_base), stream=picture)
    ends, begins = {one.index: end for one in streams}, math.inf
    for packet in _in_order(source.demux(streams)):
        at, read = (float((stamp or 0) * packet.time_base) for stamp in (packet.pts, packet.dts))
        index = packet.stream.index
        if index in ends and read >= ends[index]:
            del ends[index]
        if not ends or (picture.index not in ends and read > end + _LATE):
            return
        if index == picture.index:
            if packet.is_keyframe and start - _SAME <= at < begins:
                begins = at
            last = ends.get(index, end)
            is_wanted = at >= begins and (at < last or last == end)
            if is_wanted and at >= last:
                ends[index] = at
        else:
            is_wanted = start - _SAME <= at < end
        if is_wanted and index in ends:
            yield packet


def _in_order(packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Packets that say when they are shown and decoded: Matroska leaves the latter out at its start."""
    waiting: dict[int, list[Packet[Any]]] = {}
    for packet in packets:
        if not packet.size:  # the end
            continue
        if packet.pts is None:
            raise ValueError("its packets do not say when they are shown")
        undated = waiting.setdefault(packet.stream.index, [])
        undated.append(packet)
        if packet.dts is not None:
            for back, one in enumerate(reversed(undated)):
                one.dts = packet.dts - back * max(1, packet.duration or 0)
            yield from undated
            undated.clear()


def encode_clip(video: OpenVideo, clip: Clip, path: Path) -> None:
    """Encode the frames on screen in a clip as H.264 at the size they are shown, and its sound as AAC.

    Raises:
        VideoError: decoding or encoding fails.
    """
    file = _file(video)
    span = (clip.start, min(clip.end, video.duration))
    with (
        _told(video, "its clip cannot be encoded", "kframes probe says what is odd about it"),
        _reading(file) as source,
        _writing(path) as out,
    ):
        rate = Fraction(video.frame_rate).limit_denominator(1001)
        picture: Any = out.add_stream("libx264", rate=rate, options=_QUALITY)
        picture.width, picture.height = max(2, video.width // 2 * 2), max(2, video.height // 2 * 2)
        picture.pix_fmt, picture.codec_context.time_base = "yuv420p", _CLOCK
        picture.codec_context.flags |= Flags.frame_duration  # of a variable rate, the last frame too
        streams = [_encoded(picture, _pictures(video, span, (picture.width, picture.height)))]
        for sound in _sound_of(source):
            voice = out.add_stream("aac", rate=_SOUND)
            streams.append(_encoded(voice, _sounds(source, sound, file.starts, span)))
        for packet in merge(*streams, key=lambda one: int(one.dts or 0) * one.time_base):
            out.mux(packet)


def _encoded(stream: Any, frames: Iterator[Any]) -> Iterator[Packet[Any]]:
    for frame in frames:
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _pictures(video: OpenVideo, span: Span, size: tuple[int, int]) -> Iterator[av.VideoFrame]:
    """The frames on screen in a span, each from when it comes on; the first from the start of the span."""
    start, end = span
    first = max(0, int(np.searchsorted(video.timestamps, start + 1e-9, side="right")) - 1)
    times = video.timestamps[first : int(np.searchsorted(video.timestamps, end - 1e-9))].tolist() or [start]
    many = max(1, _HELD // (4 * size[0] * size[1]))
    for place in range(0, len(times), many):
        for frame in video.frames_at(times[place : place + many], size, keep=False):
            shown = max(frame.timestamp, start)
            picture = av.VideoFrame.from_ndarray(np.asarray(frame.image), format="rgb24")
            picture.pts, picture.time_base = round((shown - start) / _CLOCK), _CLOCK
            picture.duration = max(1, round((min(frame.end, end) - shown) / _CLOCK))
            yield picture


def _sounds(source: InputContainer, sound: Any, starts: float, span: Span) -> Iterator[av.AudioFrame]:
    """The sound of a span, as stereo; a frame of sound that begins before the span is left out."""
    resampler = av.AudioResampler("fltp", "stereo", _SOUND)
    zero = starts + span[0]
    source.seek(round((zero - _EARLY) / sound.time_base), stream=sound)
    for frame in source.decode(sound):
        if frame.pts is None or frame.time < zero:
            continue
        if frame.time >= starts + span[1]:
            break
        frame.pts, frame.time_base = round((frame.time - zero) * frame.sample_rate), Fraction(1, frame.sample_rate)
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _sound_of(source: InputContainer) -> list[Any]:
    """The best stream of sound, where there is one of a codec that is known."""
    sound = source.streams.best("audio")
    return [] if sound is None or sound.codec_context is None else [sound]


def _file(video: OpenVideo) -> VideoFile:
    if video.file is None:
        raise VideoError("these frames came from memory, not from a file: there is nothing to cut")
    return video.file


@contextmanager
def _reading(file: VideoFile) -> Iterator[InputContainer]:
    container = open_container(file.path, file.local, file.limits)
    try:
        yield container
    finally:
        container.close()


@contextmanager
def _writing(path: Path) -> Iterator[OutputContainer]:
    """An MP4 file whose index stands in front, so that it plays while it is loaded."""
    container = av.open("file:" + str(path.absolute()), "w", format="mp4", options={"movflags": "+faststart"})
    with container:
        yield container


@contextmanager
def _told(video: OpenVideo, what: str, hint: str) -> Iterator[None]:
    """Say in one line what FFmpeg could not do; a full disk is told by who writes the file."""
    try:
        yield
    except (av.FFmpegError, ValueError, IndexError) as error:
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT):
            raise
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise VideoError(f"{shortened(video.path)}: {what} ({why}); {hint}") from error
