"""Open a video file safely with PyAV, and say why when that is not possible."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import av

from kframes_plugin.errors import VideoError
from kframes_plugin.text import shortened

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    from kframes_plugin.video.decoder import Limits

# Containers that carry their own pictures. Left out on purpose: everything that points to other files or
# makes pictures up (hls, dash, concat, image2 patterns, imf, lavfi, sdp, rtsp ...), whatever the file is called.
_CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,ogg,flv,asf,live_flv,mxf,nut,rm,wtv,dv,gif,apng,ivf,obu,av1,h264,hevc,vvc,m4v,"
    "mpegvideo,mjpeg,vc1,yuv4mpegpipe,amv,swf,nsv,bink,smk,roq,flic,webp_anim,jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,"
    "tiff_pipe,gif_pipe"
)
_PLAYLIST_MARKS = (b"#EXTM3U", b"ffconcat version", b"<MPD", b"[playlist]", b"<AssetMap", b"v=0\r\no=", b"v=0\no=")
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"sidx", b"pnot")
_MOOV_BYTES = 64 << 20  # of the index box, read only to explain a failure


def open_container(path: str, local: str, limits: Limits) -> InputContainer:
    """The opened container.

    Args:
        path: what messages call it.
        local: path of the regular file that is read, and nothing else: no playlist, no file that it names.
        limits: more than ``limits.streams`` streams are refused.

    Raises:
        VideoError: it cannot be opened, with the reason.
    """
    path = shortened(path)
    check_local_file(path, local)
    url = "file:" + os.path.abspath(local)  # "file:" keeps names such as "concat:a|b" from being read as a protocol
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": _CONTAINERS,
        "max_streams": str(limits.streams + 1),
        "max_pixels": str(most_coded_pixels(limits)),  # opening decodes pictures to learn their form
    }
    try:
        # not ``options``: with PyAV 15 they crash where a stream appears while the file is probed (MPEG-PS)
        container = av.open(url, container_options=options)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path}: cannot be opened: {_why_not(local, error)}") from error
    if len(container.streams) > limits.streams:
        container.close()
        raise VideoError(
            f"{path}: has more than {limits.streams} streams, the most that max_streams allows; "
            "raise max_streams if you trust the file."
        )
    return container


def video_stream(container: InputContainer, path: str, limits: Limits) -> VideoStream:
    """:func:`find_video_stream`; the other streams are told not to be read."""
    stream = find_video_stream(container, path, limits)
    read_only(container, stream)
    return stream


def find_video_stream(container: InputContainer, path: str, limits: Limits) -> VideoStream:
    """The best video stream, never a cover picture.

    Raises:
        VideoError: no video stream, no decoder for it, encrypted, or more pixels than allowed.
    """
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        has = "only a cover picture" if container.streams.video else "no video stream"
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise VideoError(f"{path}: has {has} (its streams: {kinds}); give a file with moving pictures.")
    best = container.streams.best("video")
    stream = best if best in streams else max(streams, key=_size_of)
    if stream.codec_context is None:
        raise VideoError(f"{path}: its video codec is not known to PyAV {av.__version__}; convert it to H.264.")
    if (stream.codec_context.codec_tag or "").lower() in ("encv", "drmi"):
        raise VideoError(f"{path}: is encrypted (codec tag {stream.codec_context.codec_tag!r}); decrypt it first.")
    check_pixels(path, stream.codec_context.width, stream.codec_context.height, limits)
    return stream


def read_only(container: InputContainer, stream: Stream) -> None:
    """Tell FFmpeg to read one stream of a file and no other; PyAV 15 cannot, and passes over their packets."""
    if hasattr(av.stream, "Discard"):
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all


def demux(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The packets of one stream from here on.

    PyAV 18 raises IndexError for a packet of a stream that appears only inside the file (a broadcast that changes its
    programme); that packet is not ours, and reading goes on behind it.
    """
    while True:
        try:
            yield from container.demux(stream)
        except IndexError:
            continue
        return


def most_coded_pixels(limits: Limits) -> int:
    """Pixels above which FFmpeg allocates no picture: up to 63 columns are added to each, and sides have 16 bits."""
    return limits.pixels + 64 * 2**16


def check_pixels(path: str, width: int, height: int, limits: Limits) -> None:
    """Refuse pictures over the limit, before any is decoded."""
    if width * height > limits.pixels:
        raise VideoError(
            f"{path}: its pictures have {width} x {height} = {width * height:,} pixels, more than max_pixels = "
            f"{limits.pixels:,}; raise max_pixels if you trust the file."
        )


def check_duration(path: str, duration: float, limits: Limits) -> None:
    """Refuse videos that are longer than allowed; ``duration`` is the true one, not the header's."""
    if duration > limits.duration:
        raise VideoError(
            f"{path}: lasts {duration:.0f} s, more than max_duration = {limits.duration:.0f} s; raise max_duration "
            "if you want all of it."
        )


def check_local_file(path: str, local: str) -> None:
    """Only regular files that are not empty; ``path`` is what messages call it.

    Raises:
        VideoError: names what the path is instead.
    """
    try:
        mode = os.stat(local)
    except FileNotFoundError as error:
        what = "is a symbolic link to a file that does not exist" if os.path.islink(local) else "does not exist"
        raise VideoError(f"{path}: {what}; check the path.") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise VideoError(f"{path}: cannot be reached: {why}; check the path and its permissions.") from error
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    kind = kinds.get(stat.S_IFMT(mode.st_mode))
    if kind is not None:
        raise VideoError(f"{path}: is {kind}, not a video file; give the path of a regular file.")
    if mode.st_size == 0:
        raise VideoError(f"{path}: cannot be opened: the file is empty (0 bytes); copy or download it again.")


def _size_of(stream: VideoStream) -> int:
    context = stream.codec_context
    return context.width * context.height if context is not None else 0


def _why_not(path: str, error: Exception) -> str:
    """One sentence on why a file could not be opened, with the fix."""
    if not os.access(path, os.R_OK):
        return "no permission to read it; change its permissions."
    with open(path, "rb") as file:
        head = file.read(4096)
        if any(mark in head for mark in _PLAYLIST_MARKS):
            return "it is a playlist that points to other files, not a video; open the video files themselves."
        if head[4:8] in _MOV_BOXES:
            boxes, moov = _mov_boxes(file, os.path.getsize(path))
            if b"encv" in moov or b"drmi" in moov:
                return "it is encrypted (DRM); decrypt it first."
            if "moov" not in boxes:
                return "its index (moov) is missing, so the file looks truncated; copy or download it again."
            if "moov (cut off)" in boxes:
                return "its index (moov) is cut off, so the file is truncated; copy or download it again."
    return f"it is not a video in a known container, or it is damaged from the start ({error.__class__.__name__})."


def _mov_boxes(file: BinaryIO, size: int) -> tuple[list[str], bytes]:
    """Names of the top boxes of an MP4/MOV file, and the bytes of its index."""
    names: list[str] = []
    moov = b""
    at = 0
    while at + 8 <= size and len(names) < 10_000:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        length = length or size - at
        cut = " (cut off)" if at + length > size else ""
        names.append(name.decode("latin-1") + (cut if name == b"moov" else ""))
        if name == b"moov":
            moov = file.read(min(length, _MOOV_BYTES))
        if length < 8:
            break
        at += length
    return names, moov
