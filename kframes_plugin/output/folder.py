"""A selection as a folder: written whole or not at all, and read as data. Behind ``Selection.save`` and ``load``."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from kframes_plugin.errors import KFramesError
from kframes_plugin.output import checked
from kframes_plugin.text import printable

if TYPE_CHECKING:
    from kframes_plugin.selection import Selection

JSON = "selection.json"
EXTRAS = ("timeline.png", "contact_sheet.png", "report.html")
LARGEST_JSON = 64 << 20  # bytes
MOST_PIXELS = 1 << 30  # of all pictures together: 512 of 1920 x 1080
_PICTURE = re.compile(r"frame_\d{4,}_\d{5,}\.\d{3}s\.jpg")
_DRAFT = ".kframes-"


def write_folder(selection: Selection, folder: Path, *, report: bool) -> None:
    """Write ``selection.json``, a JPEG a keyframe and, with ``report``, the pictures and the page for people.

    All is written beside its place and then moved; ``selection.json`` goes first and comes back last, so that a folder
    that has one is whole. An earlier selection in the folder is replaced; other files are left alone.

    Raises:
        KFramesError: it cannot be written: where, why, what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for left in folder.glob(f"{_DRAFT}*"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
            try:
                _write(selection, draft, report)
                _put(draft, folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise KFramesError(
            f"{printable(str(folder))}: cannot be written ({error.strerror or error}); free space, or choose another "
            "folder"
        ) from error


def _write(selection: Selection, draft: Path, report: bool) -> None:
    plain = selection.to_dict()
    for number, (frame, entry) in enumerate(zip(selection.frames, plain["frames"], strict=True), 1):
        entry["file"] = f"frame_{number:04d}_{frame.timestamp:09.3f}s.jpg"
        frame.image.save(draft / entry["file"], quality=95)
    if report:
        timeline, sheet, page = (draft / name for name in EXTRAS)
        selection.timeline().save(timeline)
        selection.contact_sheet().save(sheet)
        selection.to_html(page)
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    (draft / JSON).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _put(draft: Path, folder: Path) -> None:
    """Move a draft into its place."""
    (folder / JSON).unlink(missing_ok=True)
    new = {path.name for path in draft.iterdir()}
    for path in folder.iterdir():
        if path.name not in new and (path.name in EXTRAS or _PICTURE.fullmatch(path.name)):
            path.unlink()
    for name in sorted(new - {JSON}):
        os.replace(draft / name, folder / name)
    os.replace(draft / JSON, folder / JSON)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder against other writers; on Windows nothing is held."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def read_folder(folder: Path, schema: str) -> dict[str, Any]:
    """The fields of the selection in a folder, each of its type and within limits, ``frames`` with their pictures.

    It opens ``selection.json`` and the JPEGs beside it that it names, and nothing else: no video, no link, no URL.

    Raises:
        KFramesError: there is no selection, or one that cannot be used.
    """
    try:
        file = folder / JSON
        if file.stat().st_size > LARGEST_JSON:
            raise ValueError(f"{JSON} has more than {LARGEST_JSON:,} bytes")
        plain = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.pop("schema", None) != schema:
            raise KFramesError(f"{printable(str(folder))}: {JSON} does not have the schema {schema}; save it again")
        entries = map(checked.fields, checked.rows(plain["frames"], "frames"))
        pictures = _read_pictures(folder, [checked.text(entry["file"], "file") for entry in entries])
        return checked.selection(plain, pictures)
    except (OSError, KeyError, TypeError, ValueError, RecursionError, Image.DecompressionBombError) as error:
        why = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise KFramesError(
            f"{printable(str(folder))}: no selection can be read here ({printable(why)}); write one with save()"
        ) from error


def _read_pictures(folder: Path, names: list[str]) -> list[Image.Image]:
    pictures, pixels = [], 0
    for name in names:
        path = folder / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            raise ValueError(f"{name!r} is not a file in this folder")
        with Image.open(path, formats=("JPEG",)) as picture:
            pixels += picture.width * picture.height
            if pixels > MOST_PIXELS:
                raise ValueError(f"its pictures have more than {MOST_PIXELS:,} pixels together")
            pictures.append(picture.convert("RGB"))
    return pictures
