"""A chat endpoint on loopback that answers as a test says, and writes down what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], Any]


class Server:
    """A chat endpoint on loopback. ``answer(body)`` gives a text, a status, bytes of a finished response, or both last.

    Attributes:
        log: (body, begin, end, status, usage) of every request, ``end`` when the last byte was sent.
        busiest: most requests under way together.
    """

    def __init__(self, answer: Answer) -> None:
        self.log: list[dict[str, Any]] = []
        self.busy = self.busiest = 0
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                entry = {"body": body, "begin": time.monotonic(), "end": None, "status": 0, "usage": {}}
                with lock:
                    self.log.append(entry)
                    self.busy += 1
                    self.busiest = max(self.busiest, self.busy)
                try:
                    handler.respond(answer(json.loads(body)), entry)
                except (BrokenPipeError, ConnectionResetError):
                    entry["status"] = -1  # who asked was killed
                finally:
                    entry["end"] = time.monotonic()
                    with lock:
                        self.busy -= 1

            def respond(handler, found: Any, entry: dict[str, Any]) -> None:
                if isinstance(found, int):
                    found = found, b'{"error": {"message": "as told"}}'
                status, content = found if isinstance(found, tuple) else (200, found)
                if isinstance(content, str):
                    content = json.dumps(completion(content)).encode()
                entry["usage"] = json.loads(content).get("usage") or {}
                handler.send_response(status)
                handler.send_header("Content-Type", "application/json")
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                handler.wfile.write(content)
                entry["status"] = status

            def log_message(handler, *_: Any) -> None:
                """Silence."""

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_port}/v1#tiny"
        threading.Thread(target=self.listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.listener.shutdown()
        self.listener.server_close()


def completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100 + len(text), "completion_tokens": len(text), "total_tokens": 100 + 2 * len(text)}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice], "usage": usage}
