"""What people give as a video -> its name, for people, and a local file, for FFmpeg.

A path is its own file. Bytes, file objects, data URLs and http(s) URLs are copied into a private temporary file first,
within limits, so that nothing behind this door reads from anywhere else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from kframes_plugin.errors import VideoError
from kframes_plugin.text import quoted, shortened

if TYPE_CHECKING:
    from kframes_plugin.video.options import VideoOptions

MOST_DATA = 64 << 20  # bytes of a data URL: it is in memory twice while it is read
MEMORY = "memory:"  # what a video without a name of its own is called, and a part of the hash of its bytes
_CHUNK = 1 << 20
_LONGEST_PATH = 1000  # bytes


@dataclass(frozen=True)
class Source:
    """A video to be opened.

    Attributes:
        name: its path, its URL, or "memory:..." for what had no name.
        file: path of the local file to be read.
        is_copy: whether ``file`` is a private copy, which :meth:`delete` removes.
    """

    name: str
    file: str
    is_copy: bool = False
    _owner: int = field(default_factory=os.getpid)

    @property
    def has_own_name(self) -> bool:
        """Whether its name is enough to open it again."""
        return bool(self.name) and not (self.is_copy and self.name.startswith(MEMORY))

    def delete(self) -> None:
        """Remove the copy, where there is one; a forked process leaves it to its parent."""
        if self.is_copy and os.getpid() == self._owner:
            with suppress(OSError):
                os.unlink(self.file)


def find_source(video: Any, options: VideoOptions) -> Source:
    """The source of what was given as a video.

    Args:
        video: a path, a file, data, http or https URL, bytes, or a file object that is read from where it stands.
        options: limits, and whether URLs of the network may be opened.

    Raises:
        TypeError: nothing of these.
        VideoError: it cannot be had; which, why, and what to do.
    """
    if isinstance(video, bytes | bytearray | memoryview):
        return _from_bytes(video, options)
    if isinstance(video, str | os.PathLike):
        return _from_path(os.fspath(video), options)
    if callable(getattr(video, "read", None)):
        return _from_file_object(video, options)
    raise TypeError(
        f"a video must be a path, a URL, bytes or a file object opened with 'rb'; got {type(video).__name__}"
        + (": for several videos call select_many, or search" if isinstance(video, list | tuple | set) else "")
    )


def is_url(text: str) -> bool:
    """Whether a text is a URL and no path: "scheme://...", "data:..." or "file:/..."; the name of a file is none."""
    scheme, mark, rest = text.partition(":")
    named = bool(mark) and scheme.isascii() and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum()
    known = rest.startswith("//") or scheme.lower() == "data" or (scheme.lower() == "file" and rest.startswith("/"))
    return named and known and not os.path.exists(text[:_CHUNK])


def path_of(video: str) -> str:
    """The path in a file URL; any other text as it is.

    Raises:
        VideoError: a file URL that names another host, or has a query or a fragment.
    """
    if not is_url(video) or video[:5].lower() != "file:":
        return video
    try:
        parts = urlsplit(video)
    except ValueError as error:
        raise VideoError(f"{shortened(video)}: is not a file URL: {error}; give the path.") from error
    if parts.netloc not in ("", "localhost"):
        raise VideoError(f"{shortened(video)}: is on another host, {quoted(parts.netloc)}; write file:///PATH.")
    if parts.query or parts.fragment:
        raise VideoError(f"{shortened(video)}: a file URL ends at ? and #; write %3F and %23, or give the path.")
    if os.name == "nt":
        from urllib.request import url2pathname  # on use: it brings http.client and email

        return url2pathname(parts.path)
    return os.fsdecode(unquote_to_bytes(parts.path))


def _from_path(video: Any, options: VideoOptions) -> Source:
    if not isinstance(video, str):
        raise TypeError(f"path must be a str or os.PathLike[str]; got {type(video).__name__}")
    if not video:
        raise VideoError("the video is an empty string; give the path of a file.")
    path = path_of(video)
    if not is_url(path):
        if path.startswith(MEMORY) and not os.path.exists(path):
            raise VideoError(f"{path}: was given as bytes or a file object, and is closed; pass it again.")
        return Source(path, path)
    scheme = path.partition(":")[0].lower()
    if scheme == "data":
        return _from_bytes(_read_data_url(path, options), options)
    if scheme not in ("http", "https"):
        raise VideoError(f"{shortened(path)}: is a URL of the kind {scheme!r}; give a local file, or http(s).")
    if not options.allow_urls:
        raise VideoError(f"{shortened(path)}: is a URL, not a local file; download it, or pass allow_urls=True.")
    return _copy(path, options, lambda file: _fetch(path, file, options))


def _fetch(url: str, file: BinaryIO, options: VideoOptions) -> None:
    from kframes_plugin.video.download import download

    hosts = None if options.allow_urls is True else options.allow_urls
    limits = {"wait": options.timeout, "seconds": options.total_timeout, "max_bytes": options.max_bytes}
    download(url, file, hosts=hosts or None, **limits)  # type: ignore[arg-type]


def _from_bytes(data: bytes | bytearray | memoryview, options: VideoOptions) -> Source:
    if 0 < len(data) <= _LONGEST_PATH and _is_path(bytes(data)):
        raise TypeError(
            f"path must be a str or os.PathLike[str], not bytes; got {quoted(bytes(data))}: use os.fsdecode"
        )
    size = memoryview(data).nbytes
    if not size:
        raise VideoError("the video is empty (0 bytes); give all bytes of a file.")
    if size > options.max_bytes:
        raise _too_large("the video of bytes", options)
    return _copy("", options, lambda file: file.write(data))


def _is_path(data: bytes) -> bool:
    """Whether bytes are a path, which is a mistake, and no film: every container has bytes that no text has."""
    return os.path.exists(data) or (data.isascii() and data.decode().isprintable())


def _read_data_url(url: str, options: VideoOptions) -> bytes:
    most = min(MOST_DATA, options.max_bytes)
    if len(url) > 3 * most:  # %41 is one byte
        raise VideoError(f"{shortened(url)}: holds more than {most:,} bytes; give a file instead.")
    head, mark, body = url.partition(",")
    data = unquote_to_bytes(body)
    if not mark or not data:
        raise VideoError(f"{shortened(url)}: has no data; a data URL is data:video/mp4;base64,... .")
    if head.lower().rstrip().endswith(";base64"):
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except binascii.Error as error:
            raise VideoError(f"{shortened(url)}: is not base64 ({error}); encode the file again.") from error
    if len(data) > most:
        raise VideoError(f"{shortened(url)}: holds more than {most:,} bytes; give a file instead.")
    return data


def _from_file_object(video: Any, options: VideoOptions) -> Source:
    if (path := _own_path(video)) is not None:
        return Source(path, path)
    return _copy("", options, lambda file: _drain(video, file, options))


def _own_path(video: Any) -> str | None:
    """The path of the regular file that a file object reads from its start; None: there is none, or another now."""
    try:
        name, there = os.fspath(video.name), os.fstat(video.fileno())
        found = os.stat(name)
        at_start = video.tell() == 0
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    same = (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) and isinstance(name, str)
    is_bytes = "b" in str(getattr(video, "mode", "rb"))
    return os.path.abspath(name) if same and at_start and is_bytes else None


def _drain(video: Any, file: BinaryIO, options: VideoOptions) -> None:
    """Write all that a file object gives to a file."""
    begin, size = time.monotonic(), 0
    while chunk := _read(video):
        size += len(chunk)
        if size > options.max_bytes:
            raise _too_large("the file object", options)
        if time.monotonic() - begin > options.total_timeout:
            raise VideoError(
                f"the file object was not read to its end within {options.total_timeout:g} s; raise total_timeout."
            )
        file.write(chunk)
    if not size:
        raise VideoError("the file object gives no bytes from its current position; call seek(0) first.")


def _read(video: Any) -> bytes:
    try:
        chunk = video.read(_CHUNK)
    except (OSError, ValueError) as error:
        raise VideoError(f"the file object cannot be read: {error}; open it again.") from error
    if chunk is None:
        raise VideoError("the file object has no bytes yet (read gave None); give one that waits for them.")
    if not isinstance(chunk, bytes | bytearray | memoryview):
        close = getattr(chunk, "close", None)  # of a coroutine that nobody awaits
        if callable(close):
            close()
        raise TypeError(
            f"a video's file object must give bytes; its read gave {type(chunk).__name__}: open it with 'rb'"
        )
    return bytes(chunk)


def _too_large(what: str, options: VideoOptions) -> VideoError:
    return VideoError(f"{what} has more than max_bytes = {options.max_bytes:,} bytes; raise max_bytes if you trust it.")


def _copy(name: str, options: VideoOptions, write: Callable[[BinaryIO], object]) -> Source:
    """A private copy of what ``write`` writes, under a name or that of its bytes."""
    try:
        number, path = tempfile.mkstemp(prefix="kframes-")
        try:
            with os.fdopen(number, "w+b") as file:
                write(file)
                if not file.tell():
                    raise VideoError(
                        f"{shortened(name) or 'the video'}: is empty (0 bytes); copy or download it again."
                    )
                if not name:
                    file.seek(0)
                    name = MEMORY + hashlib.file_digest(file, "sha256").hexdigest()[:16]
        except BaseException:
            os.unlink(path)
            raise
    except OSError as error:
        raise VideoError(
            f"{shortened(name) or 'the video'}: cannot be copied to {tempfile.gettempdir()}: {error.strerror}; make "
            "room there, or set TMPDIR."
        ) from error
    return Source(name, path, is_copy=True)


def check_hosts(given: Any) -> bool | tuple[str, ...]:
    """``allow_urls``: a bool, or names of hosts as a tuple.

    Raises:
        TypeError, ValueError: neither.
    """
    if isinstance(given, bool):
        return given
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TypeError(f"allow_urls must be True, False or a list of names of hosts; got {quoted(given)}")
    hosts = tuple(sorted(given)) if isinstance(given, set | frozenset) else tuple(given)
    for host in hosts:
        if not isinstance(host, str) or not host or "/" in host or "@" in host:
            raise ValueError(
                f'a host of allow_urls is a name, such as "media.example.org", or NAME:PORT; got {quoted(host)}'
            )
    return hosts
