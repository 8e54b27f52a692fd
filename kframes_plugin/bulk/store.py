"""Results on disk: one folder a request, made whole or not at all, and one table of rows. A run goes on where it ended.

OUT/film-3fa9c2e1b07d4455/    selection.json, frames and row.json; or row.json alone, with the error
OUT/results.jsonl             one row a request that was answered or failed
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kframes_plugin.bulk.requests import Failure, Request
from kframes_plugin.errors import KFramesError
from kframes_plugin.output.whole import write_whole
from kframes_plugin.text import printable

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection

Row = dict[str, Any]


class ResultFolder:
    """Where results lie. Several processes may write to it; can be pickled.

    Args:
        folder: made if missing.
        settings: all that results depend on besides the request: model, strategy ...; plain JSON values.
        table: name of the table; shards have one each.
    """

    def __init__(
        self, folder: str | os.PathLike[str], settings: Mapping[str, Any], table: str = "results.jsonl"
    ) -> None:
        self.folder = Path(folder)
        self.settings = dict(settings)
        self.table = self.folder / table

    def name(self, request: Request) -> str:
        """The folder of a request: the same for the same file, question and settings, another one for any other."""
        try:
            status = os.stat(request.video)
            version = [status.st_size, status.st_mtime_ns]
        except (OSError, ValueError):
            version = []
        key = [os.fspath(request.video), version, request.query, request.k, request.strategy, list(request.within)]
        digest = hashlib.sha256(json.dumps([key, self.settings], sort_keys=True).encode()).hexdigest()[:16]
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(request.video).stem)[:40].strip("-")
        return f"{stem or 'video'}-{digest}"

    def read(self, request: Request) -> Row | None:
        """The row of a request that is done or failed; None: it is still to do."""
        try:
            row: Row = json.loads((self.folder / self.name(request) / "row.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return row

    def forget(self, request: Request) -> None:
        """Remove what a request left, so that it is done again."""
        shutil.rmtree(self.folder / self.name(request), ignore_errors=True)

    def save(self, request: Request, found: Selection | Failure) -> Row:
        """Write one result; the ``finish`` of a worker. Of two that write the same, the first stays."""
        name = self.name(request)
        row: Row = {"id": name, "video": request.video, "query": request.query, "k": request.k}
        draft = self.folder / f".{name}.{os.getpid()}"
        if isinstance(found, Failure):
            row |= {"error": {"kind": found.kind, "message": found.message}}
        else:
            row |= {"timestamps": list(found.timestamps), "clips": [asdict(clip) for clip in found.clips]}
            row |= {"notes": [asdict(note) for note in found.notes], "folder": name}
        try:
            shutil.rmtree(draft, ignore_errors=True)
            if not isinstance(found, Failure):
                found.save(draft)
            write_whole(draft / "row.json", _line(row))
            draft.rename(self.folder / name)
        except (OSError, KFramesError) as error:
            if (kept := self.read(request)) is not None:
                return kept
            raise _cannot_write(self.folder, error) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return row

    def begin_table(self, rows: Iterable[Row]) -> None:
        """Write the table anew with the rows that there are."""
        write_whole(self.table, "".join(map(_line, rows)))

    def append(self, row: Row) -> None:
        """Add a row to the table."""
        try:
            with self.table.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(_line(row))
        except OSError as error:
            raise _cannot_write(self.table, error) from error


def _cannot_write(place: Path, error: OSError | KFramesError) -> KFramesError:
    if isinstance(error, KFramesError):
        return error
    return KFramesError(f"{printable(str(place))}: cannot be written ({error.strerror or error})")


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
