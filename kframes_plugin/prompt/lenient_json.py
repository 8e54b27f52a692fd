"""Read JSON the way language models write it: cut off, fenced, single-quoted, wrapped in prose.

One pass over the text with a stack and no backtracking, so the time is linear in the text: whatever is
not understood is skipped, never raised. Strict JSON is left to ``json``; this is for what it refuses.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 32  # brackets nested deeper than this are skipped; a list of clips needs 2

_OPEN = re.compile(r"[\[{]")
_SPACE = re.compile(r"\s+")
# A run of anything but structure. A colon between digits (1:05) and an apostrophe inside a word belong to it.
_BARE = re.compile(r"""(?:[^,\[\]{}"':\n]|(?<=\d):(?=\d)|(?<=\w)'(?=\w))+""")
# A quote ends its string only where structure or the next key follows: models do not escape quotes inside of reasons.
_CLOSERS = {q: re.compile(rf"(?<!\\){q}(?=\s*(?:[,:\]}}]|{q}\w{{1,20}}{q}\s*:|$))") for q in "\"'"}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORDS = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "nan": float("nan"),
    "infinity": float("inf"),
    "-infinity": float("-inf"),
    "inf": float("inf"),
    "-inf": float("-inf"),
}


@dataclass
class Reading:
    """What stood in a text.

    Attributes:
        values: the outermost bracketed values, in the order written.
        places: where in the text each of them stands, from its bracket on.
        around: there was text outside of them.
        cut_off: the text ended inside a bracket or a string.
    """

    values: list[Any] = field(default_factory=list)
    places: list[slice] = field(default_factory=list)
    around: bool = False
    cut_off: bool = False


@dataclass
class _Container:
    """A list or an object still being read; which of them shows by its colons."""

    bracket: str
    items: list[Any] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    key: str | None = None

    def add(self, value: Any) -> None:
        if self.key is None:
            self.items.append(value)
        else:
            self.fields[self.key] = value
            self.key = None

    def colon(self) -> None:
        if self.items and isinstance(self.items[-1], str):
            self.key = self.items.pop()

    def value(self) -> Any:
        if not self.fields:
            return self.items if self.items or self.bracket == "[" else {}
        return {**self.fields, "": self.items} if self.items else self.fields


def read_lenient(text: str) -> Reading:
    """Every outermost ``[...]`` and ``{...}`` of a text, closed where the text breaks off.

    Args:
        text: anything.

    Returns:
        The values with strings, numbers, lists and dicts as ``json`` gives them. Unquoted words are strings.
        An empty ``values`` when there is no bracket. Never raises.
    """
    if '"' not in text:
        text = text.translate(dict.fromkeys(map(ord, "“”„‟"), '"'))
    closers = {quote: [match.start() for match in pattern.finditer(text)] for quote, pattern in _CLOSERS.items()}
    reading = Reading()
    stack: list[_Container] = []
    begin = position = 0
    while position < len(text):
        if not stack:
            opening = _OPEN.search(text, position)
            outside = text[position : opening.start() if opening else len(text)]
            reading.around |= bool(outside.strip())
            if opening is None:
                break
            begin = position = opening.start()
        position = _step(text, position, stack, closers, reading)
        reading.places += [slice(begin, position)] * (len(reading.values) - len(reading.places))
    reading.cut_off |= bool(stack)
    while stack:
        _close(stack, stack[-1].bracket, reading)
    reading.places += [slice(begin, len(text))] * (len(reading.values) - len(reading.places))
    return reading


def _step(text: str, position: int, stack: list[_Container], closers: dict[str, list[int]], reading: Reading) -> int:
    """Take one token at ``position`` into the stack; returns where the next one begins."""
    char = text[position]
    if space := _SPACE.match(text, position):
        return space.end()
    if char in "[{":
        if len(stack) < MAX_DEPTH:
            stack.append(_Container(char))
    elif char in "]}":
        _close(stack, "[" if char == "]" else "{", reading)
    elif char == ":":
        stack[-1].colon()
    elif char in "\"'":
        ends = closers[char]
        index = bisect_left(ends, position + 1)
        reading.cut_off |= index == len(ends)
        end = ends[index] if index < len(ends) else len(text)
        stack[-1].add(_unescape(text[position + 1 : end]))
        return end + 1
    elif bare := _BARE.match(text, position):
        stack[-1].add(_scalar(bare.group().strip()))
        return bare.end()
    return position + 1  # structure just taken, or a comma: values say by themselves where they end


def _close(stack: list[_Container], bracket: str, reading: Reading) -> None:
    """Close the innermost ``bracket`` and all that is open inside of it; a stray closer is skipped."""
    if all(container.bracket != bracket for container in stack):
        return
    while stack:
        done = stack.pop()
        if stack:
            stack[-1].add(done.value())
        else:
            reading.values.append(done.value())
        if done.bracket == bracket:
            return


def _scalar(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    return float(word) if _NUMBER.fullmatch(word) else word


def _unescape(body: str) -> str:
    try:
        return str(json.loads(f'"{body}"', strict=False))
    except ValueError:  # quotes inside that nobody escaped, or a broken \u: the words are still readable
        return body.replace('\\"', '"').replace("\\'", "'").replace("\\n", " ")
