"""The packets of one file, from its start or from a chosen I-frame on, for any number of decoders side by side."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import av

from kframes_plugin.video.decoder import DamagedError, Limits
from kframes_plugin.video.forks import abandon, watch
from kframes_plugin.video.index import NO_STAMP
from kframes_plugin.video.opening import demux, most_coded_pixels, open_container, video_stream
from kframes_plugin.video.vpx import most_pixels_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

    Packets = Iterator[Packet[VideoStream]]


# libvpx sees damage in 41 of 42 damaged VP9 packets, FFmpeg's own decoder in 21, for 5 % more CPU. Only it reads alpha.
_LIBVPX = {"vp9": "libvpx-vp9", "vp8": "libvpx"}


class Opened(NamedTuple):
    """One file that was opened: the container, its video stream, and what decodes it."""

    container: InputContainer
    stream: VideoStream
    decoder: VideoCodecContext


class Reading:
    """One video file, opened as often as needed: each decoder has a place of its own in the file.

    A decoder is named by the number of its threads, and by a lane: those of different lanes run side by side.
    """

    def __init__(self, path: str, local: str, limits: Limits) -> None:
        self.path, self.local, self.limits = path, local, limits
        self._shared: dict[tuple[int, int], Opened] = {}  # by threads and lane
        self._passes: list[Opened] = []
        watch(self)

    def after_fork(self) -> None:
        """Open the file anew in a child, which shares the place in it with its parent and has none of the threads."""
        abandon([*self._shared.values(), *self._passes])
        self._shared, self._passes = {}, []

    def open(self, threads: int) -> Opened:
        """The file opened anew for that many decoding threads; the caller closes the container."""
        container = open_container(self.path, self.local, self.limits)
        try:
            stream = video_stream(container, self.path, self.limits)
        except BaseException:
            container.close()
            raise
        decoder = _make_decoder(stream)
        decoder.options = {"max_pixels": str(most_coded_pixels(self.limits))}  # also for sizes that change on the way
        decoder.thread_count = threads
        decoder.thread_type = "FRAME" if threads > 1 else "SLICE"
        return Opened(container, stream, decoder)

    @contextmanager
    def passing(self, threads: int) -> Iterator[Opened]:
        """The file opened anew for one sequential pass, and closed after it."""
        opened = self.open(threads)
        self._passes.append(opened)
        try:
            yield opened
        finally:
            if opened in self._passes:  # not in a child
                self._passes.remove(opened)
                opened.container.close()

    def shared(self, threads: int, lane: int = 0, *, fresh: bool = False) -> Opened:
        """The file that random access works on, opened once for each decoder; ``fresh``: once more."""
        if fresh and (threads, lane) in self._shared:
            self._shared.pop((threads, lane)).container.close()
        if (threads, lane) not in self._shared:
            self._shared[threads, lane] = self.open(threads)
        return self._shared[threads, lane]

    def check_size(self, packet: Packet[VideoStream], decoder: VideoCodecContext) -> None:
        """What ``max_pixels`` does in FFmpeg's own decoders, for libvpx, which does not know it.

        Raises:
            av.InvalidDataError: the packet states a larger picture.
        """
        if is_libvpx(decoder) and most_pixels_of(decoder.name, packet) > most_coded_pixels(self.limits):
            raise av.InvalidDataError(errno.EINVAL, "picture too large")

    def close(self) -> None:
        """Let go of the file; closing twice does no harm."""
        for opened in self._shared.values():
            opened.container.close()
        self._shared.clear()

    def packets_from(self, pts: int, dts: int, threads: int, lane: int = 0) -> Packets:
        """Packets of the shared file from the I-frame with these time stamps on.

        Seeks are not trusted (in MPEG-TS they land up to 1 s late): further and further back, at last from the start.

        Raises:
            DamagedError: the I-frame is not found again.
        """
        container, stream, decoder = self.shared(threads, lane)
        second = int(1 / stream.time_base) if stream.time_base else 0
        back = pts if dts == NO_STAMP else dts
        for target in (pts, back, back - second, back - 10 * second, None):
            if target is None:
                container, stream, decoder = self.shared(threads, lane, fresh=True)
            else:
                try:
                    container.seek(target, stream=stream)
                except av.FFmpegError:
                    continue  # this container cannot seek there; the next attempt is further back
            decoder.flush_buffers()
            found = packets_here(container, stream)
            for packet in found:
                if packet.pts == pts and packet.is_keyframe:
                    return chain([packet], found)
                if dts != NO_STAMP and packet.dts is not None and packet.dts > dts:
                    break
        raise DamagedError(f"{self.path}: the I-frame at tick {pts} is not found again; the file is damaged.")


def packets_here(container: InputContainer, stream: VideoStream) -> Packets:
    """Packets from here on; an unreadable rest ends them (the index has noted it)."""
    demuxed = demux(container, stream)
    while True:
        try:
            packet = next(demuxed)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:  # not the end mark, nor "the frame before once more" (AVI, Theora)
            yield packet


def _make_decoder(stream: VideoStream) -> VideoCodecContext:
    """The stream's own decoder, or libvpx's where that is better and this PyAV has it."""
    name = _LIBVPX.get(stream.codec_context.name, "")
    if name not in av.codecs_available or (name == "libvpx" and not claims_alpha(stream)):
        return stream.codec_context
    own, decoder = stream.codec_context, av.CodecContext.create(name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    if own.extradata:
        decoder.extradata = own.extradata
    # VP9 does not say these itself, WebM does
    decoder.color_trc, decoder.color_primaries = own.color_trc, own.color_primaries
    decoder.color_range, decoder.colorspace = own.color_range, own.colorspace
    return decoder


def is_libvpx(decoder: VideoCodecContext) -> bool:
    """Whether libvpx decodes: it knows no ``max_pixels``, and does not tell which pictures are I-frames."""
    return decoder.name.startswith("libvpx")


def claims_alpha(stream: VideoStream) -> bool:
    """Whether a WebM file says that its pictures come with an alpha channel beside them."""
    return stream.metadata.get("alpha_mode") == "1"
