"""The packets of one file, from its start or from a chosen I-frame on, for any number of decoding threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

import av

from kframes_plugin.video.decoder import DamagedError, Limits
from kframes_plugin.video.forks import abandon, watch
from kframes_plugin.video.index import NO_STAMP
from kframes_plugin.video.opening import demux, open_container, video_stream

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    Opened = tuple[InputContainer, VideoStream]
    Packets = Iterator[Packet[VideoStream]]


class Reading:
    """One video file, opened as often as needed: each number of decoding threads needs its own decoder."""

    def __init__(self, path: str, local: str, limits: Limits) -> None:
        self.path, self.local, self.limits = path, local, limits
        self._shared: dict[int, Opened] = {}
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
        # also for sizes that change on the way; coded pictures are padded, up to 4 times when they are narrow
        stream.codec_context.options = {"max_pixels": str(4 * self.limits.pixels + 65536)}
        stream.codec_context.thread_count = threads
        stream.thread_type = "FRAME" if threads > 1 else "SLICE"
        return container, stream

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
                opened[0].close()

    def shared(self, threads: int, *, fresh: bool = False) -> Opened:
        """The file that random access works on, opened once for each number of threads; ``fresh``: once more."""
        if fresh and threads in self._shared:
            self._shared.pop(threads)[0].close()
        if threads not in self._shared:
            self._shared[threads] = self.open(threads)
        return self._shared[threads]

    def close(self) -> None:
        """Let go of the file; closing twice does no harm."""
        for container, _ in self._shared.values():
            container.close()
        self._shared.clear()

    def packets_from(self, pts: int, dts: int, threads: int) -> Packets:
        """Packets of the shared file from the I-frame with these time stamps on.

        Seeks are not trusted (in MPEG-TS they land up to 1 s late): further and further back, at last from the start.

        Raises:
            DamagedError: the I-frame is not found again.
        """
        container, stream = self.shared(threads)
        second = int(1 / stream.time_base) if stream.time_base else 0
        back = pts if dts == NO_STAMP else dts
        for target in (pts, back, back - second, back - 10 * second, None):
            if target is None:
                container, stream = self.shared(threads, fresh=True)
            else:
                try:
                    container.seek(target, stream=stream)
                except av.FFmpegError:
                    continue  # this container cannot seek there; the next attempt is further back
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
