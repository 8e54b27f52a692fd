"""Exchanges with servers within limits that hold in total: seconds from begin to end, bytes after decompression."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from time import monotonic
from typing import TypeVar

import httpx

from kframes_plugin.cancellation import stop_if_cancelled

Answer = TypeVar("Answer")

LONGEST_ANSWER = 16 << 20  # bytes
PATIENCE = 0.1  # seconds until it is asked again whether anybody waits


class AnswerTooLarge(httpx.RequestError):
    """More bytes than allowed."""


class OutOfTime(httpx.RequestError):
    """The whole exchange took longer than allowed, though single bytes came in time."""


def post(
    client: httpx.Client,
    url: str,
    body: bytes,
    *,
    seconds: float,
    max_bytes: int = LONGEST_ANSWER,
    on_event: Callable[[bytes], None] | None = None,
) -> httpx.Response:
    """The response, read to its end.

    Args:
        client: its own timeout holds for every wait for bytes; a server that sends one byte at a time outlasts it.
        url: where to.
        body: JSON.
        seconds: for everything, from the look-up of the name to the last byte, > 0. When they are over the client is
            closed.
        max_bytes: of the answer, as sent and decompressed.
        on_event: called with the bytes of a stream of events as they come, in another thread.

    Raises:
        httpx.RequestError: no answer; AnswerTooLarge and OutOfTime are such errors too.
    """
    return run_within(seconds, lambda: _read(client, url, body, max_bytes, on_event), client.close)


def run_within(seconds: float, work: Callable[[], Answer], stop: Callable[[], None]) -> Answer:
    """What ``work`` gives, or its error; ``stop`` is called when the time is over, and must make it end.

    Raises:
        OutOfTime: it took longer than so many seconds.
    """
    outcome: Future[Answer] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, name="kframes-http", daemon=True).start()
    end = monotonic() + seconds
    try:
        while not wait_for([outcome], timeout=min(PATIENCE, max(end - monotonic(), 0.0))).done:
            stop_if_cancelled()
            if monotonic() >= end:
                raise OutOfTime(f"no whole answer within {seconds:g} s")
    except BaseException:
        stop()
        raise
    return outcome.result()


def _read(
    client: httpx.Client, url: str, body: bytes, max_bytes: int, on_event: Callable[[bytes], None] | None
) -> httpx.Response:
    encoding = "gzip, identity" if on_event is None else "identity"
    headers = {"Content-Type": "application/json", "Accept-Encoding": encoding}
    with client.stream("POST", url, content=body, headers=headers) as response:
        data = bytearray()
        for chunk in response.iter_raw():
            data += chunk
            if on_event is not None and is_stream(response):
                on_event(chunk)
            if len(data) > max_bytes:
                raise AnswerTooLarge(f"its answer has more than {max_bytes:,} bytes")
        kept = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_BODY]
        content = _decompress(bytes(data), response.headers.get("content-encoding", "identity"), max_bytes)
        said = {"reason_phrase": response.extensions.get("reason_phrase", b"")}
        return httpx.Response(
            response.status_code, headers=kept, content=content, request=response.request, extensions=said
        )


def is_stream(response: httpx.Response) -> bool:
    """Whether a good response is a stream of events."""
    kind: str = response.headers.get("content-type", "")
    return response.is_success and kind.startswith("text/event-stream")


_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


def _decompress(data: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding.strip().lower() in ("", "identity"):
        return data
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"its answer is compressed as {encoding[:40]!r}, which was not asked for")
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = reader.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"its answer cannot be decompressed ({error})") from error
    if len(plain) > max_bytes:
        raise AnswerTooLarge(f"its answer has more than {max_bytes:,} bytes, decompressed")
    return plain
