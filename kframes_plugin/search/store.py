"""The files of an index: one SQLite file a video, named by its content, and a catalog of paths.

A video's file is written in one transaction, which holds the lock while the frames are embedded: so a process that is
killed leaves nothing half done, its lock is free at once, and no two processes do the same work. What is read is data:
sizes are checked before anything is taken into memory, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.errors import KFramesError
from kframes_plugin.text import printable
from kframes_plugin.types import Line

FORM = 1  # of the files; another form is made anew
NAME = ".kframes"
MOST_FRAMES, MOST_WIDTH, MOST_LINES = 1 << 16, 1 << 14, 1 << 20
PATIENCE = 30.0  # seconds to wait for the catalog, which is held for milliseconds
CHUNK = 1 << 20
_ENTRY = """
create table if not exists entry (form integer, key text, duration real, frames integer, width integer,
                                  times blob, scenes blob, rows blob);
create table if not exists lines (start real, stop real, text text);
"""
_CATALOG = """
create table if not exists videos (path text primary key, size integer, modified integer, changed integer,
                                   digest text, error text)
"""

Stat = tuple[int, ...]  # bytes, times of the last change of content and of file, nanoseconds; over all files


@dataclass(frozen=True, eq=False)
class Entry:
    """What the index knows of one video.

    Attributes:
        duration: seconds, > 0.
        times: (n,) of its frames, seconds, rising.
        scenes: (n,) number of the scene of each, from 0.
        rows: (n, d) float16, their embeddings.
        lines: what is said, in time order.
    """

    duration: float
    times: NDArray[np.float64]
    scenes: NDArray[np.int32]
    rows: NDArray[np.float16]
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Known:
    """A row of the catalog: what was found at a path."""

    stat: Stat
    digest: str
    error: str


class Store:
    """One folder with the files of an index.

    Args:
        folder: made where it is missing.
        key: of the embeddings; those of another key lie beside these.

    Raises:
        KFramesError: it cannot be made or written, or is a link to somewhere else.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.name == NAME and folder.is_symlink():
                raise KFramesError(f"{folder} is a link to another place; delete it, or name a folder with index=")
            with closing(self._open_catalog()) as catalog:
                catalog.execute(_CATALOG)
        except (OSError, sqlite3.Error) as error:
            raise KFramesError(f"no index can be kept in {folder}: {error}; name another folder with index=") from error

    # ---- the catalog

    def known(self) -> dict[str, Known]:
        """All rows of the catalog by path, relative to the index's folder."""
        with closing(self._open_catalog()) as catalog:
            rows = catalog.execute("select path, size, modified, changed, digest, error from videos").fetchall()
        return {_name(path): Known(tuple(stat), digest, error) for path, *stat, digest, error in rows}

    def note(self, path: str, known: Known) -> None:
        """Write a row of the catalog."""
        with self._changing() as catalog:
            row = (_cell(path), *known.stat, known.digest, printable(known.error))
            catalog.execute("insert or replace into videos values (?, ?, ?, ?, ?, ?)", row)

    def forget(self, paths: Iterable[str]) -> None:
        """Take paths out of the catalog, and delete the files of contents that no path has any more."""
        files = list(self.folder.glob("*-*.video"))  # before the catalog is read: another process notes, then writes
        with self._changing() as catalog:
            catalog.executemany("delete from videos where path = ?", [(_cell(path),) for path in paths])
            kept = {digest for (digest,) in catalog.execute("select digest from videos")}
        for file in files:
            if file.name.partition("-")[0] not in kept:
                file.unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._open_catalog()) as catalog:
                yield catalog
        except sqlite3.Error as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: sqlite3.Error) -> KFramesError:
        return KFramesError(f"the index in {printable(str(self.folder))} cannot be written: {error}")

    def _open_catalog(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "catalog", timeout=PATIENCE, isolation_level=None)

    # ---- one video

    def file_of(self, digest: str) -> Path:
        """The file of a content."""
        return self.folder / f"{digest}-{hashlib.sha256(self.key.encode()).hexdigest()[:8]}.video"

    def read(self, digest: str) -> Entry | None:
        """What is kept of a content; None: nothing, or nothing that can be used."""
        file = self.file_of(digest)
        if not file.is_file():
            return None
        try:
            with closing(
                sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
            ) as connection:
                connection.execute("pragma trusted_schema = off")
                return _read(connection, self.key)
        except (sqlite3.Error, ValueError, TypeError, OverflowError):
            return None  # damaged, or being made for the first time

    @contextmanager
    def claim(self, digest: str) -> Iterator[sqlite3.Connection | None]:
        """The right to write the entry of a content, which ends with the process; None: another process has it."""
        try:
            connection = _lock(self.file_of(digest))
            if connection is None:
                yield None
                return
            with closing(connection):
                yield connection
        except sqlite3.Error as error:
            raise self._cannot_write(error) from error

    def write(self, claim: sqlite3.Connection, entry: Entry) -> None:
        """Write an entry under its claim, all of it or nothing."""
        for table in ("entry", "lines"):
            claim.execute(f"delete from {table}")
        arrays = (entry.times.astype("<f8"), entry.scenes.astype("<i4"), entry.rows.astype("<f2"))
        blobs = tuple(np.ascontiguousarray(array).tobytes() for array in arrays)
        row = (FORM, self.key, entry.duration, *entry.rows.shape, *blobs)
        claim.execute("insert into entry values (?, ?, ?, ?, ?, ?, ?, ?)", row)
        claim.executemany(
            "insert into lines values (?, ?, ?)", [(line.start, line.end, line.text) for line in entry.lines]
        )
        claim.execute("commit")


def stat_files(paths: Sequence[Path]) -> Stat:
    """What tells at once that one of the files has changed, or that there are others.

    Raises:
        OSError: one is not there.
    """
    found = [os.stat(path) for path in paths]
    return sum(one.st_size for one in found), max(o.st_mtime_ns for o in found), max(o.st_ctime_ns for o in found)


def digest_files(paths: Sequence[Path]) -> str:
    """SHA-256 of what the files hold, one after another.

    Raises:
        OSError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _cell(path: str) -> str | bytes:
    """A path as SQLite takes it: bytes where it is not UTF-8."""
    return path if path.isprintable() else os.fsencode(path)


def _name(cell: object) -> str:
    return os.fsdecode(cell) if isinstance(cell, bytes) else str(cell)


def _lock(file: Path) -> sqlite3.Connection | None:
    """A connection with the write lock of a file; a file that is no database gives way to a new one."""
    for attempt in (1, 2):
        connection = sqlite3.connect(file, timeout=0, isolation_level=None)
        try:
            connection.execute("pragma trusted_schema = off")
            connection.execute("begin immediate")
            for statement in _ENTRY.split(";"):
                connection.execute(statement)
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            return None
        except sqlite3.DatabaseError:
            connection.close()
            if attempt == 2:
                raise
            file.unlink(missing_ok=True)
    return None


def _read(connection: sqlite3.Connection, key: str) -> Entry | None:
    sizes = "length(times), length(scenes), length(rows)"
    found = connection.execute(f"select form, key, duration, frames, width, {sizes} from entry limit 2").fetchall()
    if len(found) != 1 or found[0][:2] != (FORM, key):
        return None
    _, _, duration, count, width, *lengths = found[0]
    if not (_is_within(count, MOST_FRAMES) and _is_within(width, MOST_WIDTH)):
        return None
    if lengths != [8 * count, 4 * count, 2 * count * width]:
        return None
    blobs: Any = connection.execute("select times, scenes, rows from entry").fetchone()
    times, scenes = np.frombuffer(blobs[0], "<f8"), np.frombuffer(blobs[1], "<i4")
    rows = np.frombuffer(blobs[2], "<f2").reshape(count, width)
    rising = bool(times[0] >= 0 and (np.diff(times) > 0).all() and times[-1] < duration < np.inf)
    if not (rising and scenes.min() >= 0 and scenes.max() < count and np.isfinite(rows).all()):
        return None
    lines = connection.execute("select start, stop, text from lines order by start").fetchmany(MOST_LINES)
    return Entry(float(duration), times, scenes, rows, tuple(Line(*line) for line in lines))


def _is_within(value: object, most: int) -> bool:
    return isinstance(value, int) and 1 <= value <= most
