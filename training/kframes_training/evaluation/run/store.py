"""What a run has found so far, on disk. It can be stopped at any moment, killed too, and goes on where it was.

Rows are appended to JSON Lines, one whole line at a time; a line that was cut off is removed when the file is read again.
Arrays are written beside their place and moved there. A key is a digest of all that a value depends on, so that a changed
setting finds nothing old.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from kframes_training.evaluation.resuming import read_records

Row = dict[str, Any]
Arrays = Mapping[str, NDArray[Any]]


class Store:
    """Rows by key, and arrays by key, in a folder. One process at a time.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "arrays").mkdir(parents=True, exist_ok=True)
        self._file = folder / "rows.jsonl"
        self._rows = {row["key"]: row for row in read_records(self._file)}
        self._stream: TextIO = self._file.open("a", encoding="utf-8")

    def get(self, key: str) -> Row | None:
        """The row of a key, or None."""
        return self._rows.get(key)

    def add(self, key: str, row: Mapping[str, Any]) -> Row:
        """Keep a row (plain JSON values); it is on disk when this returns. A later row of a key takes its place."""
        kept = {"key": key, **row}
        self._stream.write(json.dumps(kept, ensure_ascii=False) + "\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._rows[key] = json.loads(json.dumps(kept))
        return self._rows[key]

    def arrays(self, key: str) -> dict[str, NDArray[Any]] | None:
        """The arrays of a key, or None."""
        file = self.folder / "arrays" / f"{key}.npz"
        if not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def add_arrays(self, key: str, arrays: Arrays) -> None:
        """Keep arrays."""
        file = self.folder / "arrays" / f"{key}.npz"
        unfinished = file.with_name(f"{key}.{os.getpid()}.unfinished")
        with unfinished.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        unfinished.replace(file)

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def key_of(*parts: Any) -> str:
    """A digest of plain JSON values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
