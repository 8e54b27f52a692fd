"""Text of others (models, servers, file names) made safe for terminals, logs and agents; and times in words."""

from __future__ import annotations

import json
import re
from textwrap import shorten
from typing import Any

# Control characters (ANSI escapes begin with one), marks that turn the direction of writing, halves of surrogate pairs
# (bytes of file names that are not UTF-8), separators of lines.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST_NAME = 1000  # characters of a path or URL in a message


LONGEST = 300  # characters of what somebody else says, in an answer to an agent


def printable(text: str) -> str:
    """A text in one line: what steers a terminal is written as an escape, as ``\\u001b``; all else as it is."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def brief(text: str, longest: int = LONGEST) -> str:
    """A text of at most so many characters; a longer one is cut between two words, and " ..." says so."""
    return text if len(text) <= longest else shorten(text, longest, placeholder=" ...")


def printable_lines(text: str) -> str:
    """The same for a text of several lines: line breaks and tabs stay."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def whole_text(text: str) -> str:
    """A text that every tokenizer reads: halves of surrogate pairs are replaced."""
    return text.encode("utf-8", "replace").decode()


def table_row(*cells: object) -> str:
    """Cells, apart by tabs, as one line of a table: nothing in a cell ends it or the line."""
    return "\t".join(printable(str(cell)) for cell in cells)


def printable_json(value: Any) -> str:
    """A value as JSON for terminals: the same value, with all that steers a terminal as escapes of JSON."""
    return printable_lines(json.dumps(value, indent=1, ensure_ascii=False))


def shortened(text: str, most: int = LONGEST_NAME) -> str:
    """A name as messages say it: printable, at most so many characters; of a data URL only what it is and how long."""
    if text[:5].lower() == "data:":
        return f"{printable(text[:60].partition(',')[0])},... ({len(text):,} characters)"
    return printable(text) if len(text) <= most else f"{printable(text[:most])}... ({len(text):,} characters)"


def quoted(value: object, most: int = 200) -> str:
    """The ``repr`` of a wrong argument, no longer than ``most`` characters: one may be a whole video."""
    if isinstance(value, str | bytes | bytearray) and len(value) > most:
        return f"{printable(repr(value[: most // 4]))}... ({len(value):,} long)"
    return shortened(repr(value), most)


def clock(seconds: float) -> str:
    """12.5 -> "0:12.5", 4000 -> "1:06:40.0"."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 10:02d}.{rest % 10}"
