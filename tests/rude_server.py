"""An HTTP server on loopback that stalls, drips, redirects and lies on order, and writes down what was asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Handler = BaseHTTPRequestHandler
Page = Callable[[Handler], None]


@dataclass
class RudeServer:
    """What it was told to answer, by path, and the paths that were asked for."""

    url: str
    pages: dict[str, Page]
    asked: list[str] = field(default_factory=list)


@contextmanager
def serve(**pages: Page) -> Iterator[RudeServer]:
    """A server whose page ``/name`` does what ``name`` is told; others are 404."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            with suppress(BrokenPipeError, ConnectionResetError):
                server.pages.get(self.path.strip("/"), status(404))(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Silence."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    listener.daemon_threads = True
    server = RudeServer(f"http://127.0.0.1:{listener.server_port}", dict(pages))
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.socket.close()


def status(code: int, reason: str | None = None) -> Page:
    def page(handler: Handler) -> None:
        handler.send_response(code, reason)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return page


def data(body: bytes, **headers: str) -> Page:
    def page(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return page


def redirect(where: str) -> Page:
    def page(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", where)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return page


def stall(seconds: float) -> Page:
    """Takes the request and says nothing."""
    return lambda handler: time.sleep(seconds)


def drip(seconds: float, *, head: bool = False) -> Page:
    """A byte every .05 s, of the body or already of the header."""

    def page(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        if head:
            handler.wfile.write(b"X-Drip: ")
        else:
            handler.wfile.write(b"Content-Length: 1000000\r\n\r\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    return page


def endless(head: bytes = b"") -> Page:
    """A body that says no length and never ends."""

    def page(handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + head)
        while True:
            handler.wfile.write(bytes(1 << 16))

    return page
