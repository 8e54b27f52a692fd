"""The requests of a bulk run from the command line: a file of rows, or a folder of videos and one query."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kframes_plugin.bulk.requests import Request
from kframes_plugin.clips.geometry import check_spans
from kframes_plugin.errors import KFramesError
from kframes_plugin.video.sources import is_url

KEYS = ("video", "query", "k", "strategy", "within")


def read_jobs(source: str | os.PathLike[str], query: str | None, k: int, suffixes: Sequence[str]) -> Iterator[Request]:
    """The requests, in order.

    Args:
        source: a .jsonl file with a row a request: ``{"video": ..., "query": ..., "k": ..., "strategy": ...,
            "within": [[start, end]]}``, all but the video optional where the command says them, and paths relative to
            the file; or a folder, whose videos are all asked the query, folders inside it too.
        query: for rows without one.
        k: for rows without one.
        suffixes: of the files in a folder that are videos.

    Raises:
        KFramesError: no such file or folder, or a row that cannot be understood: which line, and what is wrong.
    """
    path = Path(source)
    if path.is_dir():
        if query is None:
            raise KFramesError(f"{path} is a folder: give --query, the question for all of its videos")
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                if name.lower().endswith(tuple(suffixes)):
                    yield Request(os.path.join(folder, name), query, k)
        return
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _read_row(line, f"{path}, line {number}", path.parent, query, k)
    except (OSError, UnicodeDecodeError) as error:
        raise KFramesError(f"{path}: cannot be read ({error}); give a .jsonl file or a folder of videos") from error


def _read_row(line: str, where: str, base: Path, query: str | None, k: int) -> Request:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise KFramesError(f"{where}: not JSON ({error})") from error
    if not isinstance(row, dict) or not isinstance(row.get("video"), str):
        raise KFramesError(f'{where}: a row needs a "video"; got {line.strip()[:80]}')
    if unknown := sorted(row.keys() - set(KEYS)):
        raise KFramesError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(KEYS)}")
    asked = row.get("query", query)
    if not isinstance(asked, str) or not asked.strip():
        raise KFramesError(f'{where}: a row needs a "query", or the command needs --query')
    video = row["video"] if is_url(row["video"]) else str(base / row["video"])
    try:
        within = tuple(check_spans([(start, end) for start, end in row.get("within", ())]))
    except (TypeError, ValueError) as error:
        raise KFramesError(f"{where}: within must be a list of [start, end] seconds ({error})") from error
    return Request(video, asked, row.get("k", k), row.get("strategy"), within)


def take_shard(requests: Sequence[Request], shard: int, shards: int) -> list[Request]:
    """The requests of one of several machines; all on one video stay together.

    Args:
        requests: the same list on every machine.
        shard: which, from 1.
        shards: how many.
    """
    turn = {video: place for place, video in enumerate(dict.fromkeys(request.video for request in requests))}
    return [request for request in requests if turn[request.video] % shards == shard - 1]


def read_shard(text: str) -> tuple[int, int]:
    """(which, of how many), from 1, of a text as "2/4".

    Raises:
        KFramesError: it is none.
    """
    part, mark, parts = text.partition("/")
    if mark and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise KFramesError(f"a shard is written as 2/4, the second of four parts; got {text!r}")
