"""Servers that differ from OpenAI's, servers that mean harm, and many queries at once; all real servers on loopback."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from loopback_chat import Server, completion
from PIL import Image

from kframes_plugin import Candidates, Frame, KFrames
from kframes_plugin.chat.options import read_options
from kframes_plugin.errors import SelectorError
from kframes_plugin.selectors.remote import RemoteSelector

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.mp4"
CLIPS = '[{"start":10,"end":30,"priority":"P1","reason":"ball"}]'


def candidates(count: int = 4) -> Candidates:
    images = [Image.new("RGB", (32, 24), (shade * 20, 40, 90)) for shade in range(count)]
    return Candidates([Frame(10.0 * n, 10.0, image) for n, image in enumerate(images)], 10.0 * count)


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    running: list[Server] = []

    def begin(answer: Callable[[dict[str, Any]], Any]) -> Server:
        running.append(Server(answer))
        return running[-1]

    yield begin
    for server in running:
        server.close()


def ask(server: Server, **options: Any) -> RemoteSelector:
    return RemoteSelector.from_url(server.url, **{"backoff": 0.01, "retries": 1, **options})


def bodies(server: Server) -> list[dict[str, Any]]:
    return [json.loads(entry["body"]) for entry in server.log]


# ---- dialects


def refuse(message: str) -> tuple[int, bytes]:
    return 400, json.dumps({"error": {"message": message}}).encode()


def reasoning_model(body: dict[str, Any]) -> Any:
    """Refuses what OpenAI's reasoning models refuse, one field at a time."""
    if "max_tokens" in body:
        return refuse("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
    if "temperature" in body:
        return refuse("Unsupported value: 'temperature' does not support 0 with this model.")
    return CLIPS


def test_a_reasoning_model_gets_its_own_fields_and_is_remembered(start) -> None:
    server = start(reasoning_model)
    selector = ask(server, max_tokens=77)
    found = selector(candidates(), "q")
    assert [(clip.start, clip.end) for clip in found] == [(10.0, 30.0)]
    assert found.cost.model_calls == 3
    last = bodies(server)[-1]
    assert last["max_completion_tokens"] == 77
    assert not {"max_tokens", "temperature"} & last.keys()
    assert selector(candidates(), "q").cost.model_calls == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"content": None, "refusal": "I cannot look at people"}, "the model refused: I cannot look at people"),
        ({"content": "", "finish_reason": "content_filter"}, "content filter stopped"),
        ({"content": "", "reasoning_content": "Let me", "finish_reason": "length"}, "on thinking and wrote no answer"),
    ],
)
def test_what_is_no_answer_is_told_as_what_it_is(start, answer: dict[str, Any], message: str) -> None:
    row = completion("")
    row["choices"][0]["finish_reason"] = answer.pop("finish_reason", "stop")
    row["choices"][0]["message"] |= answer
    with pytest.raises(SelectorError, match=message):
        ask(start(lambda body: json.dumps(row).encode()))(candidates(), "q")


def test_an_answer_among_the_thoughts_is_read(start) -> None:
    row = completion("")
    row["choices"][0]["message"] |= {"content": None, "reasoning_content": CLIPS}
    assert [clip.start for clip in ask(start(lambda body: json.dumps(row).encode()))(candidates(), "q")] == [10.0]


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, {"message": "blocked", "code": "content_filter"}, "the content filter of"),
        (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, "has no credit left"),
    ],
)
def test_refused_requests_are_told_and_sent_once(start, status: int, error: dict[str, str], message: str) -> None:
    server = start(lambda body: (status, json.dumps({"error": error}).encode()))
    with pytest.raises(SelectorError, match=message):
        ask(server)(candidates(), "q")
    assert len(server.log) == 1


def test_tokens_of_the_servers_cache_are_counted(start) -> None:
    row = completion(CLIPS)
    row["usage"]["prompt_tokens_details"] = {"cached_tokens": 64}
    found = ask(start(lambda body: json.dumps(row).encode()))(candidates(), "q")
    assert found.cost.tokens_cached == 64


# ---- options by name


def test_options_of_a_server_by_name(start) -> None:
    server = start(lambda body: CLIPS)
    options = {"max_tokens": 55, "options": {"top_p": 0.5}, "frame_size": 64}
    kframes = KFrames.from_pretrained(server.url, server=options)
    assert kframes.candidate_size == 64
    kframes.selector(candidates(), "q")
    assert (bodies(server)[0]["max_tokens"], bodies(server)[0]["top_p"]) == (55, 0.5)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("http://localhost:1/v1#m", {"max_token": 5}, "unknown option 'max_token' of a server; known are"),
        ("http://localhost:1/v1#m", {"max_tokens": "5"}, "max_tokens must be of the type int"),
        ("http://localhost:1/v1#m", {"timeout": -1}, "timeout must be > 0"),
        ("http://localhost:1/v1#m", {"url": "http://elsewhere"}, "unknown option 'url'"),
        ("uniform", {"max_tokens": 5}, "server= is for models behind"),
    ],
)
def test_wrong_options_of_a_server(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KFrames.from_pretrained(model, server=options)


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        (["max_tokens=4000", "timeout=1.5"], {"max_tokens": 4000, "timeout": 1.5}),
        (["options.top_p=0.9", "options.reasoning_effort=low"], {"options": {"top_p": 0.9, "reasoning_effort": "low"}}),
        (["image_ids=true", "api_key=abc=="], {"image_ids": True, "api_key": "abc=="}),
        ([], {}),
    ],
)
def test_options_on_a_command_line(texts: list[str], options: dict[str, Any]) -> None:
    assert read_options(texts) == options


def test_an_option_without_a_value_is_told() -> None:
    with pytest.raises(ValueError, match="written NAME=VALUE"):
        read_options(["max_tokens"])


def test_the_command_line_passes_them_on(start) -> None:
    server = start(lambda body: CLIPS)
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", "select", str(SAMPLE), "a cup"]
    command += ["--model", server.url, "--candidates", "4", "--server-option"]
    done = subprocess.run([*command, "max_tokens=99"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert bodies(server)[0]["max_tokens"] == 99
    wrong = subprocess.run([*command, "max_token=99"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "unknown option 'max_token'" in wrong.stderr


# ---- many queries


def test_many_queries_share_every_byte_before_the_query(start) -> None:
    def answer(body: dict[str, Any]) -> str:
        time.sleep(0.02)
        text = body["messages"][0]["content"][-1]["text"]
        number = int(text.split("Query: number ")[1].split("\n")[0])
        return json.dumps([{"start": number / 10, "end": number / 10 + 1, "priority": "P1", "reason": ""}])

    server = start(answer)
    selector = ask(server, concurrency=4)
    queries = [f"number {number}" for number in range(50)]
    found = selector.predict_all(candidates(8), queries)
    assert [clips[0].start for clips in found] == [number / 10 for number in range(50)]
    assert 1 < server.busiest <= 4
    raw = [entry["body"] for entry in server.log]
    assert len({body.split(b"Query: number ")[0] for body in raw}) == 1
    assert all(clips.cost.model_calls == 1 for clips in found)
    alone = selector(candidates(8), "number 7")
    assert alone == found[7]


def test_pictures_have_ids_where_asked(start) -> None:
    server = start(lambda body: CLIPS)
    ask(server, image_ids=True)(candidates(), "q")
    ask(server)(candidates(), "q")
    pictures = [
        [part for part in body["messages"][0]["content"] if part["type"] == "image_url"] for body in bodies(server)
    ]
    assert len({part["uuid"] for part in pictures[0]}) == 4
    assert all("uuid" not in part for part in pictures[1])


# ---- servers that mean harm

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(b" " * (64 << 20))
GOOD = json.dumps(completion(CLIPS)).encode()


def read_request(connection: socket.socket) -> bytes:
    """The body, to its end: closing with bytes unread would reset the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(1 << 16)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 16)
    return body


def drip(connection: socket.socket, data: bytes) -> None:
    for place in range(len(data)):
        connection.sendall(data[place : place + 1])
        time.sleep(0.1)


def stall(connection: socket.socket) -> None:
    time.sleep(30)


def drip_the_head(connection: socket.socket) -> None:
    drip(connection, HEAD + b"X-Long: " + b"a" * 10_000)


def drip_the_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 10000\r\n\r\n")
    drip(connection, b"[" * 10_000)


def bomb(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB)


def flood(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")


def cut(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\n" + GOOD)


def odd_encoding(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Encoding: br\r\nContent-Length: 4\r\n\r\nabcd")


def false_gzip(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")


def deep(connection: socket.socket) -> None:
    data = b"[" * 200_000
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data)


def elsewhere(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/steal\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (stall, "did not answer within 0.8 s; raise timeout"),
        (drip_the_head, "did not answer within 1.5 s; raise total_timeout"),
        (drip_the_body, "did not answer within 1.5 s; raise total_timeout"),
        (bomb, "more than 1,048,576 bytes, decompressed"),
        (flood, "more than 1,048,576 bytes"),
        (cut, "cannot reach"),
        (odd_encoding, "compressed as 'br', which was not asked for"),
        (false_gzip, "cannot be decompressed"),
        (deep, "does not answer like an OpenAI-compatible"),
        (elsewhere, "redirects to http://127.0.0.1:1/steal"),
    ],
)
def test_harm_ends_within_its_limits(harm: Callable[[socket.socket], None], message: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    read_request(connection)
                    harm(connection)
                except OSError:
                    pass  # who asked has gone

    Thread(target=serve, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1#m"
    selector = RemoteSelector.from_url(
        url, timeout=0.8, total_timeout=1.5, max_bytes=1 << 20, retries=0, api_key="secret-key"
    )
    begin = time.monotonic()
    with pytest.raises(SelectorError, match=message) as raised:
        selector(candidates(1), "q")
    assert time.monotonic() - begin < 5
    assert "secret-key" not in str(raised.value)
    listener.close()


def test_a_gzipped_answer_is_read() -> None:
    """Asked for, for answers of long thoughts."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            read_request(connection)
            data = gzip.compress(GOOD)
            connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data) + data)

    Thread(target=serve, daemon=True).start()
    found = RemoteSelector.from_url(f"http://127.0.0.1:{listener.getsockname()[1]}/v1#m")(candidates(4), "q")
    listener.close()
    assert (found[0].start, found[0].reason) == (10.0, "ball")
