"""Subtitle files beside a video, or named by a path: .srt, .vtt, .ass and .ssa, read with ``pysubs2``.

A file from elsewhere may hold anything: it is read up to a size, in the encoding it is in, and what cannot be read is a
:class:`VideoError` for a file that was named, and a note for one that was found.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from kframes_plugin.errors import VideoError
from kframes_plugin.types import Note
from kframes_plugin.video.opening import check_local_file
from kframes_plugin.video.sources import path_of
from kframes_plugin.words.languages import is_language, plain_code
from kframes_plugin.words.options import Spoken

ENDINGS = (".srt", ".vtt", ".ass", ".ssa")
MAX_BYTES = 16 << 20  # ten hours of speech have 1 MB; styled karaoke some 5
LONGEST = 5_000  # characters of one row; a longer one is no subtitle, and would only cost time
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def find_files(video: str, language: str | None) -> list[Path]:
    """Subtitle files of a video, the best first: its name, at most a language and words as "forced", an ending.

    Args:
        video: path of the video.
        language: only files of this language; None: those that name none before others.

    Returns:
        Paths; none where the folder holds none or cannot be listed.
    """
    folder, stem = Path(video).parent, Path(video).stem.lower() + "."
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                head, ending = os.path.splitext(entry.name.lower())
                if ending in ENDINGS and (head + ".").startswith(stem) and entry.is_file():
                    words = [word for word in head[len(stem) :].split(".") if word]
                    if language is None or any(plain_code(word) == plain_code(language) for word in words):
                        found.append((_rank(words, ending), entry.name))
    except OSError:
        return []
    return [folder / name for _, name in sorted(found)]


def _rank(words: list[str], ending: str) -> tuple[bool, int, bool, int]:
    """Signs only come last; no words before others, a language before a word of any other kind."""
    forced = any(word in ("forced", "foreign") for word in words)
    return forced, len(words), not all(is_language(word) for word in words), ENDINGS.index(ending)


def read_file(path: str | os.PathLike[str]) -> tuple[list[Spoken], list[Note]]:
    """The lines of a subtitle file, seconds by its own clock.

    Raises:
        VideoError: it cannot be read: which file, what is wrong, what to do.
    """
    name = path_of(os.fspath(path))
    check_local_file(name, name)
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise VideoError(f"{name}: the subtitles cannot be read: {error}; check their permissions.") from error
    if len(data) > MAX_BYTES:
        raise VideoError(f"{name}: has more than {MAX_BYTES >> 20} MB, too much for subtitles; name another file.")
    text, is_exact = _decode(data)
    lines, is_whole = _parse(name, text)
    if not lines:
        raise VideoError(f"{name}: holds no subtitles; give an .srt, .vtt or .ass file.")
    notes = []
    if not is_exact:
        unknown = "letters of an unknown encoding were read as Western European; save the subtitles as UTF-8"
        notes.append(Note("transcript-unreadable", f"{name}: {unknown}"))
    if not is_whole:
        notes.append(Note("transcript-unreadable", f"{name}: parts of the subtitles cannot be read"))
    return lines, notes


def _decode(data: bytes) -> tuple[str, bool]:
    """The text, and whether its encoding is known."""
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), True
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), False


def _parse(name: str, text: str) -> tuple[list[Spoken], bool]:
    """The lines, and whether the parser had nothing to say against the file."""
    import pysubs2  # on use: most videos have no subtitle file beside them

    rows = [row for row in text.replace("\x00", "").splitlines() if len(row) <= LONGEST]
    kind = {".vtt": "vtt", ".srt": "srt"}.get(Path(name).suffix.lower())
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            parsed = pysubs2.SSAFile.from_string("\n".join(rows), format_=kind)
    except (pysubs2.Pysubs2Error, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise VideoError(f"{name}: cannot be read as subtitles ({error.__class__.__name__}: {error}).") from error
    shown = (event for event in parsed if not event.is_comment and not event.is_drawing)
    return [(event.start / 1000, event.end / 1000, _plain(event.plaintext)) for event in shown], not said


def _plain(text: str) -> str:
    """Words without the marks that are left of WebVTT (<c>, <v Ann>, <00:01.000>) and HTML."""
    return re.sub(r"<[^<>]{0,80}>", "", text)
