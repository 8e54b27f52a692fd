"""Find the times in a text: numbers with units, clocks, and what only looks like one. Pure.

One regular expression splits a text into times and noise: dates, ratios, times of day, prices, phone numbers. All
repetitions are bounded, so the time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
_LATIN = {  # a letter must not follow: "5 s" is a time, "5 sheep" is none
    SECOND: r"s|secs?|seconds?|sek|sekund(?:e[nr]?|[yu])?|seconden|secondes?|segundos?|second[oi]|сек|секунд[аыу]?|с"
    r"|saniye|giây|detik|ثانية|ثوان",
    MINUTE: r"mins?|minutes?|minut(?:en|os|[oiy])|мин|минут[аыу]?|dakika|phút|menit|دقيقة|دقائق",
    HOUR: r"h|hrs?|hours?|stunden?|heures?|horas?|or[ae]|час(?:а|ов)?|saat|ساعة|ساعات",
}
_OTHER = {
    SECOND: "秒[钟鐘]?|초|सेकंड|सेकेंड|सेकण्ड|সেকেন্ড|วินาที",
    MINUTE: "分[钟鐘]?|분|मिनट|মিনিট|นาที",
    HOUR: "小[时時]|時間|时|시간|घंटे|घंटा",
}
_UNIT = {size: rf"(?:(?:{_LATIN[size]})(?![^\W\d_])|{_OTHER[size]})" for size in _LATIN}
_NUMBER = (
    r"(?:\d{1,3}(?:[. ]\d{3}){1,3},\d{1,9}"  # 1.234,5
    r"|\d{1,3}(?:,\d{3}){1,3}\.\d{1,9}"  # 1,234.5
    r"|\d{1,9}(?:\.\d{1,9}|,\d{1,9}(?![.,]?\d))?)"
)
_AND = r"\s{0,2}(?:,|and|und|et|y|e|и)?\s{0,2}"
_MINUTES = rf"(?:{_UNIT[MINUTE]}|m(?![^\W\d_])|m(?=\d))"
_SECOND_FIRST = r"seconds?|secs?|sekunden?|secondes?|segundos?|second[oi]|секунд\w{1,2}|detik|秒"
_MINUTE_FIRST = r"minutes?|minuten?|minutos?|minut[oi]|минут\w{1,2}"
TOKEN = re.compile(
    rf"""
    (?P<noise>
        \d{{1,4}}(?:([-/.])\d{{1,4}}\2\d{{1,4}})(?:[T ]\d\d:\d\d(?::\d\d)?)?  # a date, a version
      | \+\d{{1,3}}[\d\s()/-]{{5,16}}\d | \(\d{{3,5}}\)\s?\d{{3,4}}[\s-]\d{{3,8}}  # a phone number
      | 0\d{{2,9}}(?![\d.,:])
      | \d{{1,2}}(?::\d\d){{0,2}}\s?(?:[ap]\.?m\b|o['’]clock|Uhr\b)          # a time of day
      | the\s\d{{1,3}}0['’]?s\b | (?:19|20)\d0['’]?s\b                       # the 60s, 1960s
      | [$€£¥₹#№]\s?{_NUMBER}                                                # a price, a number
      | {_NUMBER}\s?(?:[%‰°$€£¥₹]|percent\b|fps\b|[x×]\s?\d)                 # a share, a size
      | \d{{1,2}}/\d{{1,3}}(?![\d.,])                                        # a fraction, a rating
      | (?:19|20)\d\d-\d\d(?![\d.,:])                                        # 1998-99
    )
  | (?P<clock>(?:(?P<ch>\d{{1,4}}):)?(?P<cm>\d{{1,4}}):(?P<cs>\d\d(?:[.,]\d{{1,9}})?))(?![:\d])
  | (?P<noise2>\d{{1,9}}(?:\.\d{{1,9}})?(?::\d{{1,9}}(?:\.\d{{1,9}})?)+)     # a ratio: 16:9
  | (?P<hours>{_NUMBER})\s{{0,2}}{_UNIT[HOUR]}(?:{_AND}(?P<hm>{_NUMBER})\s{{0,2}}{_MINUTES})?
        (?:{_AND}(?P<hs>{_NUMBER})\s{{0,2}}{_UNIT[SECOND]})?
  | (?P<minutes>{_NUMBER})\s{{0,2}}(?:{_MINUTES}{_AND}(?P<ms>{_NUMBER})\s{{0,2}}{_UNIT[SECOND]}|{_UNIT[MINUTE]})
  | (?P<seconds>{_NUMBER})\s{{0,2}}{_UNIT[SECOND]}
  | \b(?:(?P<first_s>{_SECOND_FIRST})|(?P<first_m>{_MINUTE_FIRST})):?\s?(?P<first>{_NUMBER})
        (?![:\d]|\s?(?:{_UNIT[SECOND]}|{_UNIT[MINUTE]}))
  | (?P<nth>\d{{1,9}})(?:st|nd|rd|th)\b(?:\s(?P<nth_s>{_UNIT[SECOND]}))?
  | (?P<number>{_NUMBER})
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Time:
    """A time in a text at [at, to): its number, its unit in seconds (None: none is written), whether a clock."""

    at: int
    to: int
    number: float
    unit: float | None
    clock: bool
    whole: bool

    @property
    def told(self) -> bool:
        """Whether its form says that it is a time."""
        return self.clock or self.unit is not None


def plain_text(text: str) -> str:
    """The text with digits, dashes, full-width marks and decimal signs of other scripts as ASCII ones."""
    return text if text.isascii() else "".join(map(_plain_char, text))


def _plain_char(char: str) -> str:
    if char.isascii():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    for plain, others in _MARKS.items():
        if char in others:
            return plain
    if "\uff01" <= char <= "\uff5e":
        return chr(ord(char) - 0xFEE0)
    return " " if char.isspace() else char


_MARKS = {
    "-": "‐‑‒–—―−﹣－",
    "~": "～〜∼",
    ".": "٫",
    "": "٬",
    ", ": "،、，﹐",
    "<": "「『【〈《‹«",
    ">": "」』】〉》›»",
    "...": "…",
}


def read_times(text: str) -> Iterator[Time | None]:
    """The times of a plain text in order; None stands for what is no time, and parts its neighbours."""
    for match in TOKEN.finditer(text):
        before = text[match.start() - 1 : match.start()]
        if match["noise"] or match["noise2"] or (before.isalnum() and before.isascii()):
            yield None
        else:
            yield _time(match)


def read_time(text: str) -> Time | None:
    """The time that a text is, as "12.5s", "1m 5s", "1:05" or "61,5"; None for any other text."""
    match = TOKEN.fullmatch(plain_text(text[:60]).strip(" \t\n<>()[]\"'"))
    return None if match is None or match["noise"] or match["noise2"] else _time(match)


def is_list_of_pairs(times: Sequence[float]) -> bool:
    """Whether times in a row may be [start, end, start, end]: even, ascending, and not just counted up."""
    steps = {other - one for one, other in pairwise(times)}
    return len(times) % 2 == 0 and all(step > 0 for step in steps) and (len(times) == 2 or steps != {1.0})


def _time(match: re.Match[str]) -> Time:
    part = match.groupdict()
    at, to = match.span()
    if part["clock"]:
        seconds = int(part["ch"] or 0) * HOUR + int(part["cm"]) * MINUTE + float(part["cs"].replace(",", "."))
        return Time(at, to, seconds, None, True, False)
    if part["hours"]:
        seconds = _number(part["hours"]) * HOUR + _number(part["hm"]) * MINUTE + _number(part["hs"])
        return Time(at, to, seconds / HOUR, HOUR, False, part["hours"].isdigit())
    if part["minutes"] and part["ms"]:
        return Time(at, to, _number(part["minutes"]) * MINUTE + _number(part["ms"]), SECOND, False, False)
    for group, unit in (
        ("minutes", MINUTE),
        ("seconds", SECOND),
        ("first", MINUTE if part["first_m"] else SECOND),
        ("nth", SECOND if part["nth_s"] else None),
        ("number", None),
    ):
        if part[group]:
            return Time(at, to, _number(part[group]), unit, False, part[group].isdigit())
    raise AssertionError("every other group was looked at")  # pragma: no cover


def _number(text: str | None) -> float:
    """A decimal comma or point; three digits after a comma are thousands."""
    if text is None:
        return 0.0
    whole, comma, rest = text.replace(" ", "").rpartition(",")
    if not comma:
        return float(rest)
    if "." in rest or (len(rest) == 3 and whole != "0" and "." not in whole):
        return float(whole.replace(",", "") + rest)
    return float(f"{whole.replace('.', '')}.{rest}")
