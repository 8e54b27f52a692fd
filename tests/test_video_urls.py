"""Videos behind URLs: every answer of a server ends within its limits, and nothing else is fetched."""

from __future__ import annotations

import gzip
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn_film import SAMPLE
from rude_server import RudeServer, data, drip, endless, redirect, serve, stall, status

from kframes_plugin import KFrames
from kframes_plugin.errors import KFramesError, VideoError
from kframes_plugin.video import OpenVideo
from kframes_plugin.video.download import is_private

QUICK = {"allow_urls": True, "timeout": 0.4, "total_timeout": 1.0, "max_bytes": 8 << 20}
FILM = SAMPLE.read_bytes()
PLAYLIST = b"#EXTM3U\n#EXTINF:9,\n{url}/film\n#EXT-X-ENDLIST\n"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[RudeServer]:
    with serve(film=data(FILM)) as running:
        yield running


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private copies go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_video_behind_a_url_is_downloaded_once_and_its_copy_goes_with_it(server: RudeServer, temporary: Path) -> None:
    with OpenVideo(f"{server.url}/film", allow_urls=True) as video, OpenVideo(SAMPLE) as local:
        assert video.path == f"{server.url}/film"
        assert (video.timestamps == local.timestamps).all()
        assert len(video.candidates(16, size=64)) == 16
        assert len(list(temporary.iterdir())) == 1
        assert oct(next(temporary.iterdir()).stat().st_mode & 0o777) == "0o600"
    assert server.asked == ["/film"]
    assert list(temporary.iterdir()) == []


def test_redirects_are_followed_on_the_same_host(server: RudeServer) -> None:
    server.pages |= {"a": redirect("/b"), "b": redirect(f"{server.url}/film")}
    with OpenVideo(f"{server.url}/a", allow_urls=True) as video:
        assert video.path.endswith("/a")
    assert server.asked == ["/a", "/b", "/film"]


HOSTILE: dict[str, tuple[Any, str]] = {
    "stalls": (stall(3), "its server sent nothing for 0.4 s"),
    "drips": (drip(4), "was not downloaded within 1 s"),
    "drips_its_head": (drip(4, head=True), "was not downloaded within 1 s"),
    "never_ends": (endless(FILM[:4096]), "has more than max_bytes = 8,388,608 bytes"),
    "claims_much": (data(FILM[:10], Content_Length=str(1 << 40)), "has more than max_bytes"),
    "cut_short": (data(FILM[:5000], Content_Length=str(len(FILM))), "cannot be fetched: peer closed connection"),
    "bomb": (data(gzip.compress(bytes(64 << 20)), Content_Encoding="gzip"), "is sent compressed as 'gzip'"),
    "unknown_coding": (data(FILM, Content_Encoding="x\x1b[31m"), r"is sent compressed as 'x\\u001b\[31m'"),
    "loops": (redirect("/loops"), "redirects more than 5 times"),
    "to_a_file": (redirect("file:///etc/passwd"), "redirects to file:///etc/passwd, which is not an http or https URL"),
    "to_ftp": (redirect("ftp://127.0.0.1/x"), "redirects to ftp://127.0.0.1/x, which is not an http or https URL"),
    "to_a_password": (redirect("http://me:secret@127.0.0.1/"), "contains a password"),
    "refuses": (status(403, "\x1b[2Jno"), r"its server answers 403 \\u001b\[2Jno; check the URL"),
    "breaks": (status(500), "its server answers 500"),
    "empty": (data(b""), "is empty"),
    "page": (data(b"<html>not a video</html>"), "it is not a video in a known container"),
    "not_http": (lambda handler: handler.wfile.write(b"\x00\xff nonsense\r\n\r\n"), "cannot be fetched: "),
    "long_header": (data(FILM, X_Long="y" * 200_000), "cannot be fetched: "),
}


@pytest.mark.parametrize("page", HOSTILE)
def test_a_hostile_server_ends_within_its_limits(server: RudeServer, temporary: Path, page: str) -> None:
    server.pages[page], message = HOSTILE[page]
    begin = time.monotonic()
    with pytest.raises(VideoError, match=message) as caught:
        OpenVideo(f"{server.url}/{page}", **QUICK)  # type: ignore[arg-type]
    assert time.monotonic() - begin < 3
    assert str(caught.value).startswith(f"{server.url}/{page}: ")
    assert "\x1b" not in str(caught.value)
    assert set(server.asked) == {f"/{page}"}
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "where",
    ["http://{}/secret", "http://127.1:{port}/secret", "http://[::ffff:127.0.0.1]:{port}/secret", "//{}/secret"],
)
def test_a_redirect_to_a_private_address_is_refused_unless_its_host_is_named(server: RudeServer, where: str) -> None:
    with serve(secret=data(FILM)) as inner:
        netloc = inner.url.removeprefix("http://")
        server.pages["go"] = redirect(where.format(netloc, port=netloc.rpartition(":")[2]))
        with pytest.raises(VideoError, match=r"redirects to .*, which is a private address; if you trust it, name"):
            OpenVideo(f"{server.url}/go", allow_urls=True)
        assert inner.asked == []
        server.pages["go"] = redirect(f"{inner.url}/secret")
        with OpenVideo(f"{server.url}/go", allow_urls=["127.0.0.1"]) as video:
            assert len(video.timestamps) > 100
        assert inner.asked == ["/secret"]


def test_only_the_hosts_that_are_named_are_asked(server: RudeServer) -> None:
    for hosts in (["media.example.org"], [f"127.0.0.1:{1}"]):
        with pytest.raises(VideoError, match=r"its URL is on 127\.0\.0\.1, not one of"):
            OpenVideo(f"{server.url}/film", allow_urls=hosts)
    assert server.asked == []
    with OpenVideo(f"{server.url}/film", allow_urls={server.url.removeprefix("http://")}):
        assert server.asked == ["/film"]


@pytest.mark.parametrize(
    ("address", "private"),
    [
        *((one, True) for one in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0")),
        *((one, True) for one in ("::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "224.0.0.1")),
        *((one, True) for one in ("2002:7f00:1::", "100.64.0.1", "255.255.255.255", "::")),
        *((one, False) for one in ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")),
    ],
)
def test_private_addresses(address: str, private: bool) -> None:
    assert is_private(address) is private


def test_nothing_that_a_video_names_is_fetched(server: RudeServer, tmp_path: Path) -> None:
    server.pages["list"] = data(PLAYLIST.replace(b"{url}", server.url.encode()))
    server.pages["concat"] = data(f"ffconcat version 1.0\nfile {server.url}/film\n".encode())
    server.pages["dash"] = data(f"<MPD><BaseURL>{server.url}/film</BaseURL></MPD>".encode())
    for page in ("list", "concat", "dash"):
        with pytest.raises(VideoError, match="is a playlist that points to other files"):
            OpenVideo(f"{server.url}/{page}", allow_urls=True)
    assert server.asked == ["/list", "/concat", "/dash"]
    film = bytearray(FILM)  # a track whose pictures lie "in another file", as QuickTime has it
    place = film.find(b"url \x00\x00\x00\x01")
    assert place > 0
    film[place : place + 8] = b"url \x00\x00\x00\x00"
    (tmp_path / "elsewhere.mp4").write_bytes(film)
    try:
        with OpenVideo(tmp_path / "elsewhere.mp4") as video:
            video.candidates(4)
    except VideoError:
        pass
    assert server.asked == ["/list", "/concat", "/dash"]


def test_nobody_listens_and_no_such_name() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(VideoError, match="cannot be fetched: "):
        OpenVideo(f"http://127.0.0.1:{port}/film", **QUICK)  # type: ignore[arg-type]
    with pytest.raises(VideoError, match=r"cannot be fetched: |was not downloaded"):
        OpenVideo("http://no-such-host.invalid/film", **QUICK)  # type: ignore[arg-type]


def test_every_door_keeps_the_limits(server: RudeServer) -> None:
    server.pages["slow"] = drip(4)
    kf = KFrames.from_pretrained("uniform", video_options=QUICK)
    begin = time.monotonic()
    for ask in (kf.select, kf.kept.select):
        with pytest.raises(VideoError, match="was not downloaded within 1 s"):
            ask(f"{server.url}/slow", "x")
    failed = next(iter(kf.select_many([(f"{server.url}/slow", "x")])))
    assert "was not downloaded within 1 s" in failed.message  # type: ignore[union-attr]
    with pytest.raises(KFramesError, match="is a URL; only files and folders"):
        kf.search(f"{server.url}/film", "x")
    assert time.monotonic() - begin < 8
    assert "/film" not in server.asked
