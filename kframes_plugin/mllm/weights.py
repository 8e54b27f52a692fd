"""What a checkpoint's folder may hold before a library reads it: weights that are data, and nothing from elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from kframes_plugin.text import quoted

MOST_FILES = 10_000
MOST_BYTES = 64 << 20  # of an index
_INDEX = ".safetensors.index.json"


def check_folder(folder: Path) -> None:
    """Refuse a folder whose links or index lead outside it, or to weights that may hold code.

    Links inside the cache of the hub, from a snapshot to its blobs, are as they should be.

    Raises:
        ValueError: which file, what is wrong and what to do.
    """
    root = os.path.realpath(_home(folder))
    for file in _files(folder):
        if os.path.commonpath([root, os.path.realpath(file)]) != root:
            raise ValueError(f"{file.name} leads out of the directory; replace the link with a copy of the file")
        if file.name.endswith(_INDEX):
            _check_index(file)
        if file.name == "modules.json":
            _check_modules(file)


def read_json(file: Path, most: int = MOST_BYTES) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: more than ``most`` bytes, not JSON, or nested too deep.
    """
    if file.stat().st_size > most:
        raise ValueError(f"{file.name} has more than {most:,} bytes; it cannot be the {file.name} of a checkpoint")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{file.name} is nested too deeply; save the checkpoint again") from error
    except ValueError as error:
        raise ValueError(f"{error}, in {file.name}") from error


def _home(folder: Path) -> Path:
    """The folder, or that of the repository where it is a snapshot in the cache of the hub."""
    there = folder.absolute()
    is_snapshot = there.parent.name == "snapshots" and there.parent.parent.name.startswith("models--")
    return there.parent.parent if is_snapshot else there


def _files(folder: Path) -> Iterator[Path]:
    found = list(islice(folder.rglob("*"), MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise ValueError(f"the directory holds more than {MOST_FILES:,} files; give that of the checkpoint alone")
    return iter(found)


def _check_index(file: Path) -> None:
    """All weights that an index names are safetensors files beside it."""
    row = read_json(file)
    names = row.get("weight_map") if isinstance(row, dict) else None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{file.name} has no weight_map of names; save the checkpoint again")
    for name in set(names.values()):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(
                f"{file.name} names {quoted(name)}; weights must be .safetensors files in the same directory: save the "
                "checkpoint with save_pretrained"
            )
        if not (file.parent / name).is_file():
            raise ValueError(f"{file.name} names {quoted(name)}, which is missing; download it too")


def _check_modules(file: Path) -> None:
    """The parts of a model of sentence-transformers lie inside its folder and are of that library."""
    rows = read_json(file)
    for row in rows if isinstance(rows, list) else [None]:
        path, kind = (row.get("path"), row.get("type")) if isinstance(row, dict) else (None, None)
        inside = isinstance(path, str) and not os.path.isabs(path) and ".." not in Path(path).parts
        if not inside or not str(kind).startswith("sentence_transformers."):
            raise ValueError(
                f"{file.name} has the part {quoted(row)}; parts must be of sentence_transformers, in the same directory"
            )
