"""What may be given as a video: paths, file URLs, data URLs, bytes, file objects; anything else is told what to do."""

from __future__ import annotations

import base64
import io
import os
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from drawn_film import SAMPLE
from PIL import Image

from kframes_plugin import KFrames
from kframes_plugin.agents.video_block import select_block
from kframes_plugin.errors import VideoError
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.sources import is_url, path_of

FILM = SAMPLE.read_bytes()
KF = KFrames.from_pretrained("uniform", frame_size=64)
EXPECTED = KF.select(SAMPLE, "x", 4).timestamps


class Pipe(io.RawIOBase):
    """Readable, but with no place and no name."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self._rest.read(min(len(buffer), 5000))
        buffer[: len(part)] = part
        return len(part)


class Named:
    """A path-like thing that is no pathlib.Path."""

    def __fspath__(self) -> str:
        return str(SAMPLE)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where private copies go; none may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def data_url(data: bytes = FILM) -> str:
    return "data:video/mp4;base64," + base64.b64encode(data).decode()


WAYS: dict[str, Any] = {
    "str": lambda: str(SAMPLE),
    "Path": lambda: SAMPLE,
    "PurePath": lambda: PurePosixPath(SAMPLE),
    "PathLike": Named,
    "file URL": SAMPLE.absolute().as_uri,
    "file URL, localhost": lambda: f"file://localhost{quote(str(SAMPLE.absolute()))}",
    "file URL, one slash": lambda: f"FILE:{SAMPLE.absolute()}",
    "bytes": lambda: FILM,
    "bytearray": lambda: bytearray(FILM),
    "memoryview": lambda: memoryview(FILM),
    "BytesIO": lambda: io.BytesIO(FILM),
    "pipe": lambda: Pipe(FILM),
    "buffered pipe": lambda: io.BufferedReader(Pipe(FILM)),
    "data URL": data_url,
    "data URL, percent": lambda: "DATA:," + quote(FILM),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_video_may_be_given_as(way: str) -> None:
    selection = KF.select(WAYS[way](), "x", 4)
    assert selection.timestamps == EXPECTED
    if "data" in way or way in ("bytes", "bytearray", "memoryview", "BytesIO", "pipe", "buffered pipe"):
        assert selection.video.startswith("memory:")
        with pytest.raises(VideoError, match="was given as bytes or a file object, and is closed; pass it again"):
            selection.resample(5)
    else:
        assert Path(selection.video).samefile(SAMPLE)
    assert select_block(KF, {"type": "video", "video": WAYS[way]()}, "x", 4).timestamps == EXPECTED


def test_an_open_file_is_read_from_where_it_stands(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"12345" + FILM)
    with (tmp_path / "film.mp4").open("rb") as file:
        file.seek(5)
        assert KF.select(file, "x", 4).timestamps == EXPECTED
    with SAMPLE.open("rb") as file, OpenVideo(file) as video:
        assert Path(video.path).samefile(SAMPLE)
        assert list(temporary.iterdir()) == []  # no copy of what lies there already
    with tempfile.NamedTemporaryFile() as file:
        file.write(FILM)
        file.seek(0)
        with OpenVideo(file) as video:
            assert len(video.timestamps) > 100
    with (tmp_path / "film.mp4").open("rb") as file:
        (tmp_path / "film.mp4").rename(tmp_path / "moved.mp4")
        (tmp_path / "film.mp4").write_bytes(b"another file")
        file.seek(5)
        assert KF.select(file, "x", 4).timestamps == EXPECTED


def test_a_session_on_bytes_can_be_asked_again_pickled_and_resampled() -> None:
    with KF.open(FILM) as session:
        selection = session.select("x", 4)
        assert selection.resample(5).k == 5
        with pickle.loads(pickle.dumps(session)) as copy:
            assert copy.select("x", 4).timestamps == EXPECTED
        same, other = (OpenVideo(data) for data in (FILM, FILM + bytes(8)))
        assert session.video.path == same.path != other.path
        same.close()
        other.close()


def test_a_video_that_nobody_closes_leaves_no_copy(temporary: Path) -> None:
    video = OpenVideo(FILM)
    assert len(list(temporary.iterdir())) == 1
    pid = os.fork()
    if pid == 0:
        video.close()  # a child leaves the file to its parent
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(list(temporary.iterdir())) == 1
    del video


@pytest.mark.parametrize(
    "name", ["a b%41#c?.mp4", "caf\xe9.mp4", os.fsdecode(b"not-utf8-\xff\xfe.mp4"), "new\nline.mp4"]
)
def test_file_urls_of_odd_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.symlink_to(SAMPLE.absolute())
    assert path_of(path.as_uri()) == str(path)
    assert KF.select(path.as_uri(), "x", 4).video == str(path)


def test_what_is_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("http://a/b", "HTTPS://a", "file:/a", "data:,x", "s3://bucket/key"):
        assert is_url(text)
    Path("data:,x").write_bytes(FILM)
    for text in ("a.mp4", "a:b", "concat:a|b", "C:\\a.mp4", "file:a", "data:,x", ""):
        assert not is_url(text)
    assert KF.select("data:,x", "x", 4).timestamps == EXPECTED


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> Any:
        raise OSError("\x1b[31mgone")


class Endless:
    def read(self, size: int) -> bytes:
        return bytes(size)


class Awaitable:
    async def read(self, size: int) -> bytes:
        return b""


class Idle:
    def read(self, size: int) -> None:
        return None


LONG = "x" * 100_000
REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing": (
        None,
        TypeError,
        "a video must be a path, a URL, bytes or a file object opened with 'rb'; got NoneType",
    ),
    "number": (3, TypeError, "a video must be a path"),
    "dict": ({"video": "a.mp4"}, TypeError, "a video must be a path"),
    "set": ({"a.mp4"}, TypeError, "a video must be a path.*: for several videos call select_many, or search"),
    "array": (np.zeros((2, 4, 4, 3), np.uint8), TypeError, "a video must be a path"),
    "paths": (
        [str(SAMPLE), str(SAMPLE)],
        TypeError,
        "frames must be Frames or pictures, not str; a list of paths is not",
    ),
    "one path": ((SAMPLE,), TypeError, "frames must be Frames or pictures"),
    "blocks": ([{"type": "video"}], TypeError, "frames must be Frames or pictures, not dict"),
    "images": ([Image.new("RGB", (8, 8))], ValueError, "timestamps must give one time for each of the 1 frames"),
    "no frames": ([], ValueError, "frames is empty; give at least one"),
    "empty text": ("", VideoError, "the video is an empty string"),
    "empty bytes": (b"", VideoError, r"the video is empty \(0 bytes\)"),
    "path as bytes": (os.fsencode(SAMPLE), TypeError, r"path must be a str or os.PathLike\[str\], not bytes; got"),
    "no video": (b"hello\0", VideoError, r"memory:\w+: cannot be opened: it is not a video"),
    "at its end": (
        io.BytesIO(),
        VideoError,
        r"the file object gives no bytes from its current position; call seek\(0\)",
    ),
    "text file": (io.StringIO("film"), TypeError, "a video's file object must give bytes; its read gave str"),
    "broken": (Broken(), VideoError, r"the file object cannot be read: \\u001b\[31mgone"),
    "endless": (Endless(), VideoError, r"the file object has more than max_bytes = 4,194,304 bytes"),
    "async": (Awaitable(), TypeError, "a video's file object must give bytes; its read gave coroutine"),
    "idle": (Idle(), VideoError, "the file object has no bytes yet"),
    "long path": (LONG, VideoError, r"x{1000}\.\.\. \(100,000 characters\): cannot be reached: File name too long"),
    "host": ("file://server/share/a.mp4", VideoError, "file://server/share/a.mp4: is on another host, 'server'"),
    "query": ("file:///a.mp4?x=1", VideoError, "file:///a.mp4.x=1: a file URL ends at . and #; write %3F and %23"),
    "not there": ("file:///no/such%20file.mp4", VideoError, "/no/such file.mp4: does not exist"),
    "nul": ("file:///a%00b.mp4", VideoError, r"/a\\u0000b.mp4: cannot be reached"),
    "bucket": ("s3://bucket/a.mp4", VideoError, "s3://bucket/a.mp4: is a URL of the kind 's3'; give a local file, or"),
    "stream": ("rtsp://camera/1", VideoError, "rtsp://camera/1: is a URL of the kind 'rtsp'"),
    "web": ("https://example.org/a.mp4", VideoError, "https://example.org/a.mp4: is a URL, not a local file"),
    "no base64": ("data:video/mp4;base64,$$" + LONG, VideoError, r"data:video/mp4;base64,\.\.\. .*: is not base64"),
    "no data": ("data:video/mp4", VideoError, "has no data; a data URL is"),
    "too much": (data_url(bytes(5 << 20)), VideoError, "holds more than 4,194,304 bytes; give a file instead"),
    "too many bytes": (bytes(5 << 20), VideoError, "has more than max_bytes"),
    "surrogate": ("\udcff\x1b[2J.mp4", VideoError, r"\\udcff\\u001b\[2J\.mp4: does not exist"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_video_is_told_what_to_do(what: str) -> None:
    given, kind, message = REFUSED[what]
    kf = KFrames.from_pretrained("uniform", video_options={"max_bytes": 4 << 20})
    for ask in (lambda: kf.select(given, "x"), lambda: kf.open(given), lambda: kf.kept.select(given, "x")):
        with pytest.raises(kind, match=message) as caught:
            ask()
        assert len(str(caught.value)) < 1500
        str(caught.value).encode()  # no half of a pair
