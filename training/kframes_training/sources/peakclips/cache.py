"""Answers that were paid for, one file each under the digest of their question, and the log of what they cost.

A file is there with all of its content or not at all, so a build that is killed loses only answers under way.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

Entry = dict[str, Any]


def write_atomically(path: Path, value: Any) -> None:
    """Write JSON so that a reader, or a crash, sees the old file or the new one and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


class AnswerCache:
    """Answers by key.

    Args:
        folder: where they are kept; made where it is not there. Several processes may share it.

    Attributes:
        asked, known: how many answers this object asked for, and found.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = self.known = 0
        self._coming: dict[str, asyncio.Future[Entry]] = {}

    async def get(self, key: str, ask: Callable[[], Awaitable[Entry]], about: Entry) -> Entry:
        """The answer of a key; ``ask`` is called where it is not there, once even when two want it together.

        Args:
            key: digest of the question, hexadecimal.
            ask: gives the answer: a dict that JSON can hold, with ``tokens_in``, ``tokens_out`` and ``requests``.
            about: kept beside it, for the log.
        """
        if key in self._coming:
            self.known += 1
            return await asyncio.shield(self._coming[key])
        path = self._path(key)
        if path.is_file():
            self.known += 1
            answer: Entry = json.loads(path.read_text(encoding="utf-8"))["answer"]
            return answer
        self._coming[key] = asyncio.get_running_loop().create_future()
        try:
            start = monotonic()
            answer = await ask()
            seconds = round(monotonic() - start, 3)
            write_atomically(path, {"key": key, "answer": answer, "about": {**about, "seconds": seconds}})
            self.asked += 1
            self._coming[key].set_result(answer)
        except BaseException as error:
            self._coming[key].set_exception(error)
            self._coming[key].exception()  # seen: nobody else may have been waiting
            raise
        finally:
            del self._coming[key]
        return answer

    def entries(self) -> Iterator[Entry]:
        """All answers with what is known about them, in the order of their keys."""
        for path in sorted(self.folder.glob("??/*.json")):
            entry: Entry = json.loads(path.read_text(encoding="utf-8"))
            yield entry

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def costs(cache: AnswerCache, price_in: float, price_out: float) -> list[Entry]:
    """What every answer of a cache cost, one entry each.

    Args:
        cache: all of its answers, whichever run asked for them.
        price_in, price_out: of a million tokens read and written.

    Returns:
        ``key``, ``task``, ``video_id``, ``writer``, ``tokens_in``, ``tokens_out``, ``requests``, ``seconds``, ``cost``.
    """
    lines = []
    for entry in cache.entries():
        answer = entry["answer"]
        counts = {name: answer[name] for name in ("tokens_in", "tokens_out", "requests")}
        cost = (counts["tokens_in"] * price_in + counts["tokens_out"] * price_out) / 1e6
        lines.append({"key": entry["key"], **entry["about"], **counts, "cost": round(cost, 9)})
    return lines


def total(lines: list[Entry]) -> Entry:
    """The sum of a log of costs."""
    names = ("tokens_in", "tokens_out", "requests", "cost")
    return {"answers": len(lines), **{name: round(sum(line[name] for line in lines), 6) for name in names}}
