"""A query as words, numbers, clocks and signs, each with its place in the text."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from kframes_plugin.query.time_words import TimeWords

Value = TypeVar("Value")
LONGEST = 6  # words of an entry of a table

_TOKEN = re.compile(
    r"(?P<clock>(?<![\d:.])\d{1,3}(?::[0-5]\d){1,2}(?:\.\d+)?(?![\d:]))"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)"
    r"|(?P<sign>\S)"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, clock or sign.

    Attributes:
        text: in lower case; a number without thousands' commas.
        start, end: its place in the query, characters.
        kind: what it is; "0:75" is no clock.
        glued: no space stands before it.
    """

    text: str
    start: int
    end: int
    kind: Literal["clock", "number", "word", "sign"]
    glued: bool


class Tokens:
    """The tokens of a query, and looking up entries of a language's table at a place in them."""

    def __init__(self, query: str, words: TimeWords) -> None:
        self.query = query
        self.words = words
        self.list: list[Token] = []
        for found in _TOKEN.finditer(query):
            kind: Literal["clock", "number", "word", "sign"] = found.lastgroup  # type: ignore[assignment]
            text = found.group().lower().replace("’", "'")
            text = text.replace(",", "") if kind == "number" else text
            glued = bool(self.list) and self.list[-1].end == found.start()
            self.list.append(Token(text, found.start(), found.end(), kind, glued))

    def __len__(self) -> int:
        return len(self.list)

    def text(self, at: int) -> str:
        """The token in lower case; "" outside of the query."""
        return self.list[at].text if 0 <= at < len(self.list) else ""

    def kind(self, at: int) -> str:
        """What the token is; "" outside of the query."""
        return self.list[at].kind if 0 <= at < len(self.list) else ""

    def glued(self, at: int) -> bool:
        """Whether no space stands before the token."""
        return 0 <= at < len(self.list) and self.list[at].glued

    def match(self, at: int, entries: Container[str]) -> int | None:
        """Where the longest entry that stands at a place ends; None where there is none."""
        for length in range(min(LONGEST, len(self.list) - at), 0, -1):
            if " ".join(token.text for token in self.list[at : at + length]) in entries:
                return at + length
        return None

    def find(self, at: int, table: Mapping[str, Value]) -> tuple[Value, int] | None:
        """The value of the longest entry that stands at a place, and where it ends."""
        end = self.match(at, table)
        return None if end is None else (table[" ".join(token.text for token in self.list[at:end])], end)

    def skip(self, at: int, entries: Container[str]) -> int:
        """The place after an entry, or the same one where there is none."""
        end = self.match(at, entries)
        return at if end is None else end

    def skip_all(self, at: int, entries: Container[str]) -> int:
        """The place after all entries in a row."""
        while (end := self.match(at, entries)) is not None:
            at = end
        return at
