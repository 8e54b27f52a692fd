"""What a run has measured so far, on disk. It can be killed at any moment, and continues from what is there.

Rows are appended to JSON Lines, whole lines only; a line that was cut off is removed when the file is opened again.
Arrays are written beside their place and then moved there. A key is a digest of all that a value depends on, so a
changed setting never meets an old value.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from kframes_plugin.selectors.load import NANO

Row = dict[str, Any]
Arrays = Mapping[str, NDArray[Any]]


class ArrayStore:
    """Arrays by key, one file each; several processes may share the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of a key, or None."""
        file = self.folder / f"{key}.npz"
        if not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}

    def add(self, key: str, arrays: Arrays) -> None:
        """Keep arrays."""
        file = self.folder / f"{key}.npz"
        unfinished = file.with_name(f"{key}.{os.getpid()}.unfinished")
        with unfinished.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        unfinished.replace(file)


class Store:
    """Rows by key in a folder. One process writes it; others may only read it.

    Args:
        folder: made where it is missing.
        others: folders of other stores (the shards of a run, say), which are only read.

    Raises:
        ValueError: one of ``others`` is no store.
    """

    def __init__(self, folder: Path, others: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.arrays = ArrayStore(folder / "arrays")
        self._rows: dict[str, Row] = {}
        for other in others:
            if not (other / "rows.jsonl").is_file():
                raise ValueError(f"{other} holds no rows.jsonl; name the .rows folder of another run")
            self._rows |= {row["key"]: row for row in read_lines(other / "rows.jsonl")}
        file = folder / "rows.jsonl"
        _remove_cut_off_line(file)
        self._rows |= {row["key"]: row for row in read_lines(file)}
        self._stream: TextIO = file.open("a", encoding="utf-8")

    def get(self, key: str) -> Row | None:
        """The row of a key, or None."""
        return self._rows.get(key)

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows (plain JSON values with a "key"); they are on disk when this returns. The last of a key counts."""
        for row in rows:
            line = json.dumps(row, ensure_ascii=False)
            self._stream.write(line + "\n")
            self._rows[row["key"]] = json.loads(line)
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read_lines(file: Path) -> list[Row]:
    """The whole lines of a JSON Lines file; none where there is no file."""
    if not file.is_file():
        return []
    text = file.read_bytes()
    return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]


def _remove_cut_off_line(file: Path) -> None:
    if not file.is_file():
        return
    text = file.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole != len(text):
        with file.open("r+b") as stream:
            stream.truncate(whole)


def make_key(*parts: Any) -> str:
    """A digest of plain JSON values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def digest_weights(name: str) -> str | None:
    """A digest of the weights and settings behind a model's name, where they lie in a folder here; else None."""
    folder = NANO if name == "nano" else Path(name.removeprefix("openclip:").removeprefix("st:"))
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for path in [*sorted(folder.rglob("*.safetensors")), *sorted(folder.rglob("*.json"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def describe_file(file: Path) -> list[Any]:
    """Name, size and time of a file: what its contents depend on, without reading them."""
    known = file.stat()
    return [file.name, known.st_size, known.st_mtime_ns]
