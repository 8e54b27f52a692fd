"""The remote selector against a real `transformers serve`, and against a small server that misbehaves on order."""

from __future__ import annotations

import base64
import io
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from notes import sentences
from PIL import Image

from kframes_plugin.errors import SelectorError
from kframes_plugin.prompt import PromptFormat, build_messages, write_clips
from kframes_plugin.selectors.remote import RemoteSelector
from kframes_plugin.types import Candidates, Clip, Frame

KEY = "sk-not-for-anyone"
CLIPS = [Clip(10.0, 30.0, "P1", "ball"), Clip(30.0, 40.0, "P2", "player")]
SHORT = PromptFormat(time_format="index", instruction="short")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KFRAMES_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def candidates(count: int = 4) -> Candidates:
    images = [Image.new("RGB", (56, 42), (60 * i % 256, 200, 99)) for i in range(count)]
    frames = [Frame(10.0 * i + 5, 10.0 if i < count - 1 else 5.0, image) for i, image in enumerate(images)]
    return Candidates(frames, 10.0 * count)


# ------------------------------------------------------------------------------------ a real server, a real model


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` with a tiny model that learned to write CLIPS; gives its URL with the model's name."""
    import tiny_models

    folder = tiny_models.qwen2_5_vl(tmp_path_factory.mktemp("served") / "model")
    frames = candidates()
    answer = write_clips(CLIPS, frames.duration, fmt=SHORT, times=[frame.timestamp for frame in frames])
    tiny_models.teach(folder, build_messages(frames, "red", SHORT), answer)
    with serve_model(folder) as url:
        yield url


@contextmanager
def serve_model(folder: Path) -> Iterator[str]:
    """`transformers serve` with the model of a folder; gives its URL with the model's name."""
    port = free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder)]
    with (folder.parent / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--device", "cpu", "--port", str(port)], stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, folder.parent / "log")
        yield f"http://127.0.0.1:{port}/v1#{folder}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            if server.poll() is None and httpx.get(url, timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        if server.poll() is not None:
            break
        time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


def test_clips_from_a_real_server(served: str) -> None:
    selector = RemoteSelector.from_url(served, format=SHORT, max_tokens=150)
    found = selector(candidates(), "red")
    assert list(found) == CLIPS
    assert found.notes == ()
    assert (found.cost.model_calls, found.cost.candidates) == (1, 4)
    assert found.cost.tokens_in > 20
    assert 20 < found.cost.tokens_out < 150


def test_a_real_server_cuts_off(served: str) -> None:
    found = RemoteSelector.from_url(served, format=SHORT, max_tokens=30)(candidates(), "red")
    assert [(clip.start, clip.end) for clip in found] == [(10.0, 30.0)]
    assert sentences(found.notes)[0] == "the answer was cut off at 30 tokens (max_tokens)"


def test_a_real_server_without_the_model(served: str) -> None:
    selector = RemoteSelector.from_url(served.partition("#")[0] + "#other/model")
    with pytest.raises(SelectorError, match="other/model"):
        selector(candidates(), "red")


# --------------------------------------------------------------------------------- a server that does as it is told


@dataclass
class Reply:
    """One answer of the server below."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang_up: bool = False


def completion(content: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 321, "completion_tokens": 12}
    return {"choices": [{**choice, **more}], "usage": usage}


GOOD = Reply(body=completion('[{"start":10,"end":30,"priority":"P1","reason":"ball"}]'))


@dataclass
class Server:
    """A real HTTP server on loopback: gives its replies in turn, the last one again and again; keeps what came in."""

    url: str
    replies: list[Reply]
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)


Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[ThreadingHTTPServer] = []

    def begin(*replies: Reply) -> Server:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, dict(self.headers), body))
                reply = replies[min(len(server.requests), len(replies)) - 1]
                time.sleep(reply.delay)
                if reply.hang_up:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                text = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(text.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                """Silence."""

        listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(listener)
        server = Server(f"http://127.0.0.1:{listener.server_port}/v1", list(replies))
        Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    yield begin
    for listener in running:
        listener.shutdown()
        listener.server_close()


def quick(server: Server, **options: Any) -> RemoteSelector:
    return RemoteSelector(server.url, "tiny/model", **{"backoff": 0.01, "retries": 2, **options})


def test_what_is_sent_and_read(start: Start) -> None:
    server = start(GOOD)
    found = quick(server)(candidates(), "Who scores?")
    assert list(found) == [Clip(10.0, 30.0, "P1", "ball")]
    assert (sentences(found.notes), found.cost.tokens_in, found.cost.tokens_out) == ((), 321, 12)
    [(path, headers, body)] = server.requests
    assert path == "/v1/chat/completions"
    assert "Authorization" not in headers
    assert (body["model"], body["max_tokens"], body["temperature"], body["stream"]) == ("tiny/model", 1024, 0, False)
    content = body["messages"][0]["content"]
    assert [item["type"] for item in content] == ["text", "image_url"] * 4 + ["text"]
    assert content[0]["text"] == "<5.0 seconds>"
    kind, _, data = content[1]["image_url"]["url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (image.format, image.size) == ("JPEG", (56, 42))


def test_the_full_endpoint_is_a_url_too(start: Start) -> None:
    server = start(GOOD)
    RemoteSelector(server.url + "/chat/completions", "m")(candidates(), "q")
    assert server.requests[0][0] == "/v1/chat/completions"


def test_options_change_the_request(start: Start) -> None:
    server = start(GOOD)
    quick(server, options={"max_tokens": None, "max_completion_tokens": 9, "seed": 1})(candidates(), "q")
    body = server.requests[0][2]
    assert "max_tokens" not in body
    assert (body["max_completion_tokens"], body["seed"]) == (9, 1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(start: Start, status: int) -> None:
    server = start(Reply(status, {"error": "busy"}), Reply(status, "busy"), GOOD)
    found = quick(server)(candidates(), "q")
    assert len(found) == 1
    assert found.cost.model_calls == len(server.requests) == 3


def test_a_connection_that_breaks_is_tried_again(start: Start) -> None:
    server = start(Reply(hang_up=True), GOOD)
    assert len(quick(server)(candidates(), "q")) == 1
    assert len(server.requests) == 2


def test_retry_after_is_honoured(start: Start) -> None:
    server = start(Reply(429, {}, {"Retry-After": "0.4"}), GOOD)
    begin = time.monotonic()
    assert len(quick(server, backoff=0.0)(candidates(), "q")) == 1
    assert 0.4 <= time.monotonic() - begin < 5


def test_retry_after_may_be_a_date_or_nonsense(start: Start) -> None:
    past = {"Retry-After": formatdate(time.time() - 60, usegmt=True)}
    server = start(Reply(503, {}, past), Reply(503, {}, {"Retry-After": "soon"}), GOOD)
    begin = time.monotonic()
    assert len(quick(server, backoff=0.01)(candidates(), "q")) == 1
    assert time.monotonic() - begin < 5


def test_a_server_that_asks_for_an_hour_is_not_waited_for(start: Start) -> None:
    server = start(Reply(429, {"error": {"message": "quota used up"}}, {"Retry-After": "3600"}))
    with pytest.raises(SelectorError, match=r"request 1 of 3 \(429: quota used up\)"):
        quick(server)(candidates(), "q")
    assert len(server.requests) == 1


def test_a_server_that_stays_broken(start: Start) -> None:
    server = start(Reply(500, {"error": {"message": "no GPU"}}))
    with pytest.raises(SelectorError, match=r"request 3 of 3 \(500: no GPU\)"):
        quick(server)(candidates(), "q")
    assert len(server.requests) == 3


def test_a_slow_server_is_given_up_once(start: Start) -> None:
    server = start(Reply(200, "{}", delay=1.0))
    with pytest.raises(SelectorError, match=r"did not answer within 0\.2 s; raise timeout, or lower candidates"):
        quick(server, timeout=0.2)(candidates(), "q")
    assert len(server.requests) == 1


def test_no_server_at_all() -> None:
    selector = RemoteSelector(f"http://127.0.0.1:{free_port()}/v1", "m", retries=1, backoff=0.01)
    with pytest.raises(SelectorError, match=r"cannot reach http://127\.0\.0\.1:\d+/v1 \(ConnectError: .*is the server"):
        selector(candidates(), "q")


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            Reply(404, {"error": {"message": "no such model"}}),
            r"has no model 'tiny/model'.*\(no such model\); check both",
        ),
        (
            Reply(400, {"error": {"message": "maximum context length is 8192"}}),
            r"4 frames are too much.*lower candidates",
        ),
        (Reply(413, "Payload Too Large"), r"4 frames are too much .*lower candidates or frame_size"),
        (Reply(422, {"detail": "no images here"}), r"answered with an error, request 1 of 3 \(422: no images here\)"),
        (Reply(400, "<html>" + "x" * 9000), r"\(400: <html>x{290,300}\)$"),
        (Reply(418, ""), r"\(418: I'm a Teapot\)"),
    ],
)
def test_refusals_say_what_to_do(start: Start, reply: Reply, message: str) -> None:
    server = start(reply)
    with pytest.raises(SelectorError, match=message):
        quick(server)(candidates(), "q")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        "<html>hello</html>",
        "[]",
        "{}",
        '{"choices":[]}',
        '{"choices":[{"text":"old"}]}',
        '{"choices":[{"message":7}]}',
        "7",
        "",
    ],
)
def test_an_answer_that_is_no_chat_completion(start: Start, body: str) -> None:
    with pytest.raises(SelectorError, match="does not answer like an OpenAI-compatible chat endpoint"):
        quick(start(Reply(200, body)))(candidates(), "q")


def test_odd_but_usable_answers(start: Start) -> None:
    parts = [
        {"type": "text", "text": '[{"start":1,"end":2,'},
        {"type": "text", "text": '"priority":"P1","reason":""}]'},
    ]
    no_usage = {**completion("[]"), "usage": None}
    server = start(Reply(body=completion(parts)), Reply(body=completion(None)), Reply(body=no_usage))
    selector = quick(server)
    assert list(selector(candidates(), "q")) == [Clip(1.0, 2.0)]
    assert sentences(selector(candidates(), "q").notes) == ("answer: the model wrote nothing",)
    last = selector(candidates(), "q")
    assert (sentences(last.notes), last.cost.tokens_in, last.cost.tokens_out) == ((), 0, 0)


def test_an_answer_cut_off_is_mended(start: Start) -> None:
    found = quick(start(Reply(body=completion('[{"start":1,"end":2,"prio', finish_reason="length"))))(candidates(), "q")
    assert [(clip.start, clip.end) for clip in found] == [(1.0, 2.0)]
    assert sentences(found.notes)[0] == "the answer was cut off at 1024 tokens (max_tokens)"


# ------------------------------------------------------------------------------------------------------- the key


def test_where_the_key_comes_from(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start(GOOD)
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    quick(server)(candidates(), "q")
    monkeypatch.setenv("KFRAMES_API_KEY", "first\n")
    quick(server)(candidates(), "q")
    quick(server, api_key="given")(candidates(), "q")
    assert [headers["Authorization"] for _, headers, _ in server.requests] == [
        "Bearer second",
        "Bearer first",
        "Bearer given",
    ]


def test_a_missing_key_is_named(start: Start) -> None:
    with pytest.raises(SelectorError, match=r"\(401: who are you\); no key was sent: set KFRAMES_API_KEY \(or OPENAI"):
        quick(start(Reply(401, {"error": {"message": "who are you"}})))(candidates(), "q")


def test_a_wrong_key_is_named_but_never_shown(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = start(Reply(401, {"error": {"message": f"bad key {KEY}"}}))
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(SelectorError, match=r"bad key \*\*\*\); check OPENAI_") as caught,
    ):
        quick(server)(candidates(), "q")
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text
    assert KEY not in repr(quick(server, api_key=KEY))
    with pytest.raises(SelectorError, match="check the given api_key"):
        quick(server, api_key=KEY)(candidates(), "q")


def test_a_key_that_cannot_be_sent_is_not_shown(start: Start) -> None:
    with pytest.raises(SelectorError, match="contains characters that no key can have") as caught:
        quick(start(GOOD), api_key="sk-one\nsk-two")(candidates(), "q")
    assert "sk-" not in str(caught.value)


def test_the_key_follows_no_redirect(start: Start) -> None:
    elsewhere = start(GOOD)
    server = start(Reply(307, "", {"Location": elsewhere.url + "/chat/completions"}))
    with pytest.raises(SelectorError, match=r"redirects to http://127.*use that URL if you trust it"):
        quick(server, api_key=KEY)(candidates(), "q")
    assert elsewhere.requests == []


# ------------------------------------------------------------------------------------------------------- the URL


def test_the_model_follows_the_url() -> None:
    selector = RemoteSelector.from_url("https://host.example:8000/v1#Qwen/Qwen2.5-VL-3B-Instruct", candidates=16)
    assert (selector.url, selector.model) == ("https://host.example:8000/v1", "Qwen/Qwen2.5-VL-3B-Instruct")
    assert (selector.candidates, selector.frame_size) == (16, 448)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host/v1", r'http://host/v1 names no model; add its name after a #, as "http://host/v1#model"'),
        ("http://host/v1#", "names no model"),
        ("ftp://host/v1#m", r"must be an http\(s\) URL.*got 'ftp://host/v1'"),
        ("http://#m", r"must be an http\(s\) URL"),
        ("http://host:port/v1#m", "is not valid"),
        ("http://me:secret@host/v1#m", "contains a password; set KFRAMES_API_KEY instead"),
    ],
)
def test_urls_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(SelectorError, match=message) as caught:
        RemoteSelector.from_url(url)
    assert "secret" not in str(caught.value)
