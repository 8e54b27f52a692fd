"""What readers share: rows of a file, options, answers, times as text, where a video is."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from kframes_plugin.prompt.choices import LETTERS
from kframes_training.sources.datasets.items import Data, Item

Row = dict[str, Any]
SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v")
_LETTER = re.compile(r"^\(?([A-Z])[.):]\s*")


def read_rows(file: Path) -> list[Row]:
    """The rows of a .json (a list), .jsonl, .csv or .parquet file; of a folder, those of all its .json files.

    Raises:
        ValueError: the file is of none of these kinds, or holds no rows; the message names it.
        OSError: it cannot be read.
    """
    if file.is_dir():
        return [row for one in sorted(file.glob("*.json")) for row in read_rows(one)]
    try:
        return _rows(file)
    except (json.JSONDecodeError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{file} cannot be read as {file.suffix} ({error}); is it the file of the data set?"
        ) from error


def _rows(file: Path) -> list[Row]:
    if file.suffix == ".parquet":
        from pyarrow.parquet import read_table

        rows: Any = read_table(file).to_pylist()
    elif file.suffix == ".csv":
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    elif file.suffix == ".jsonl":
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    elif file.suffix == ".json":
        rows = json.loads(file.read_text(encoding="utf-8"))
    else:
        raise ValueError(
            f"{file}: rows are read from .json, .jsonl, .csv and .parquet; got {file.suffix or 'no suffix'}"
        )
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{file} must hold a list of objects, one per question or video")
    return rows


def gathered(kind: str, rows: Iterable[tuple[str, Row]], make: Callable[[Row], Item | list[Item]]) -> Data:
    """Items of rows that are named for messages; a row that makes none is told in ``odd``, and the others go on."""
    items: list[Item] = []
    odd: list[str] = []
    for name, row in rows:
        try:
            made = make(row)
        except KeyError as error:
            odd.append(f"{name}: it has no field {error}")
        except (TypeError, ValueError) as error:
            odd.append(f"{name}: {error}")
        else:
            items += made if isinstance(made, list) else [made]
    return Data(kind, tuple(items), tuple(odd))


def numbered(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """("row 1", row) and so on."""
    return [(f"row {number}", row) for number, row in enumerate(rows, 1)]


def find_video(folder: Path, name: str, places: Sequence[str] = ()) -> Path:
    """The file of a video by its name, with or without suffix, in ``folder`` or in one of the ``places`` under it.

    Returns the path where it would be where there is none, so that it can be told as missing.
    """
    folders = [folder, *(folder / place for place in places)]
    named = Path(name).suffix.lower() in SUFFIXES
    names = [name] if named else [name + suffix for suffix in SUFFIXES]
    for within in folders:
        there = _files(within)
        for one in names:
            if one in there or ("/" in one and (within / one).is_file()):
                return within / one
    return folder / names[0]


@lru_cache(maxsize=64)
def _files(folder: Path) -> frozenset[str]:
    """Names in a folder: asking once is faster than thousands of questions to a file system that is far away."""
    return frozenset(entry.name for entry in folder.iterdir()) if folder.is_dir() else frozenset()


def seconds(text: str) -> float:
    """ "1:02:03", "02:03", "62.5" -> seconds.

    Raises:
        ValueError: it is none of these.
    """
    parts = text.strip().split(":")
    if not 1 <= len(parts) <= 3:
        raise ValueError(f"a time must be h:mm:ss, mm:ss or seconds; got {text!r}")
    total = 0.0
    for part in parts:
        total = total * 60 + float(part)
    return total


def plain_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options without the letters before them, where all have the letters that belong to their places."""
    found = [_LETTER.match(option.strip()) for option in options]
    if found and all(one and one[1] == letter for one, letter in zip(found, LETTERS, strict=False)):
        return tuple(_LETTER.sub("", option.strip()) for option in options)
    return tuple(option.strip() for option in options)


def answer_index(answer: Any, options: Sequence[str]) -> int | None:
    """Index of the right option, given as letter, as index or as the option's text; None where it is not told.

    Raises:
        ValueError: it is none of the options.
    """
    if answer is None or answer == "" or not options:
        return None
    if isinstance(answer, int):
        index = answer
    elif answer.strip() in options:
        index = list(options).index(answer.strip())
    else:
        letter = re.fullmatch(r"\(?([A-Z])[.):]?\s*", answer.strip())
        index = LETTERS.index(letter[1]) if letter else -1
        if letter is None and (one := _LETTER.match(answer.strip())):
            index = LETTERS.index(one[1])
    if not 0 <= index < len(options):
        raise ValueError(f"the answer {answer!r} is none of the options {list(options)}")
    return index


def groups_of(row: Row, names: Sequence[str]) -> dict[str, str]:
    """The named fields of a row that are there, as text; lists are joined."""
    found = {}
    for name in names:
        value = row.get(name)
        if value not in (None, "", []):
            found[name] = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return found
