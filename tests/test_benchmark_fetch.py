"""The fetcher of the footage benchmark against a server on loopback that is slow, wrong or rude."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

FOOTAGE = Path(__file__).parents[1] / "benchmarks" / "footage"
sys.path.insert(0, str(FOOTAGE))

import fetch  # noqa: E402

BODY = bytes(range(256)) * 1000


class Server(ThreadingHTTPServer):
    """Paths: /whole, /cut (ends early, once), /always-cut, /no-range, /long, /gone, /to?URL (a redirect)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, wanted = self.path, self.headers.get("Range")
        again = path in [asked for asked, _ in self.server.asked]
        self.server.asked.append((path, wanted))
        if path == "/gone":
            self.send_error(404)
            return
        if path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", path[4:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and path != "/no-range" else 0
        body = BODY + b"more" if path == "/long" else BODY[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = path == "/always-cut" or (path in ("/cut", "/no-range") and not again)
        self.wfile.write(body[:1000] if cut else body)
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as made:
        yield made


def clip(url: str, **changed: object) -> fetch.Clip:
    given = {"file": "a.mp4", "url": url, "size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()} | changed
    return fetch.Clip(**given)


@pytest.mark.parametrize(
    ("path", "ranges"),
    [("/whole", [None]), ("/cut", [None, "bytes=1000-"]), ("/no-range", [None, "bytes=1000-"])],
)
def test_a_download_is_whole_and_goes_on_where_it_stopped(path, ranges, server, client, tmp_path) -> None:
    assert fetch.fetch(clip(server.url(path)), tmp_path, client).read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == ranges
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    fetch.fetch(clip(server.url(path)), tmp_path, client)
    assert len(server.asked) == len(ranges), "what is there is not fetched again"


def test_a_run_that_was_stopped_is_resumed(server, client, tmp_path) -> None:
    (tmp_path / "a.mp4.part").write_bytes(BODY[:5000])
    assert fetch.fetch(clip(server.url("/whole")), tmp_path, client).read_bytes() == BODY
    assert server.asked == [("/whole", "bytes=5000-")]


def test_it_gives_up_and_keeps_what_it_has(server, client, tmp_path) -> None:
    with pytest.raises(fetch.FetchError, match=f"{fetch.ATTEMPTS} times; run this again"):
        fetch.fetch(clip(server.url("/always-cut")), tmp_path, client)
    assert (tmp_path / "a.mp4.part").read_bytes() == BODY[: 1000 * fetch.ATTEMPTS]
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize(
    ("path", "changed", "message"),
    [
        ("/whole", {"sha256": "0" * 64}, "is not the clip of the manifest"),
        ("/long", {}, "sends more than the 256000 bytes"),
        ("/gone", {}, "answers 404"),
        ("/to?http://10.0.0.1/x", {}, "only https"),
        ("/to?https://10.0.0.1/x", {}, "private address 10.0.0.1"),
        ("/to?https://169.254.169.254/x", {}, "private address"),
        ("/to?file:///etc/hosts", {}, "only https"),
    ],
)
def test_what_is_wrong_is_refused_and_leaves_nothing(path, changed, message, server, client, tmp_path) -> None:
    with pytest.raises(fetch.FetchError, match=message):
        fetch.fetch(clip(server.url(path), **changed), tmp_path, client)
    assert list(tmp_path.iterdir()) == []


def test_redirects_are_followed_but_not_for_ever(server, client, tmp_path) -> None:
    assert fetch.fetch(clip(server.url("/to?/whole")), tmp_path, client).read_bytes() == BODY
    with pytest.raises(fetch.FetchError, match="more than 5 redirects"):
        fetch.fetch(clip(server.url("/to?" + server.url("/to?") * 9), file="b.mp4"), tmp_path, client)


@pytest.mark.parametrize("changed", [{"file": "../a.mp4"}, {"file": ""}, {"size": 0}, {"size": 10**9}])
def test_odd_entries_are_refused(changed) -> None:
    with pytest.raises(ValueError, match=r"plain name|has 1 to"):
        clip("https://example.org/a.mp4", **changed)


def test_a_folder_of_clips_stands_in_for_the_network(server, tmp_path) -> None:
    have, folder = tmp_path / "have" / "dev", tmp_path / "clips"
    have.mkdir(parents=True)
    (have / "a.mp4").write_bytes(BODY)
    items = [
        {"file": name, "url": server.url("/whole"), "size": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest()}
        for name in ("a.mp4", "b.mp4")
    ]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"items": items}))
    assert fetch.fetch_all(folder, tmp_path / "have", manifest) == 2
    assert len(server.asked) == 1, "only b.mp4 is downloaded"
    assert sorted(file.name for file in folder.iterdir()) == ["MANIFEST.json", "a.mp4", "b.mp4"]
    (folder / "a.mp4").write_bytes(b"changed")
    with pytest.raises(fetch.FetchError, match="delete it"):
        fetch.fetch_all(folder, None, manifest)


def test_the_manifest_names_fixed_files_and_sound_truth() -> None:
    manifest = json.loads((FOOTAGE / "manifest.json").read_text(encoding="utf-8"))
    clips = [fetch.Clip.read(item) for item in manifest["items"]]
    assert len({one.file for one in clips}) == len(clips) >= 30
    for one, item in zip(clips, manifest["items"], strict=True):
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/\S+", one.url)
        assert re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert item["licence_class"] in ("A", "B", "B-")
        for query in item["queries"]:
            assert query["clips"]
            assert all(0 <= start < end <= item["duration"] + 0.2 for start, end in query["clips"]), item["file"]
    assert len(manifest["negative_queries"]) >= 5
    assert sum(item["haystack"] for item in manifest["items"]) >= 25
