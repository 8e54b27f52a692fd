"""Find time spans in plain sentences: "from 61.0s to 74.5s", "<1:01>-<1:14>", "61,0 bis 74,5 Sekunden". Pure.

One regular expression splits the text into times and what only looks like one (dates, ratios, times of day). Two
neighbouring times are a span where the words between them say so and something tells that they are times of a video:
a unit, two clocks, brackets around each, a label as "happens in", or an answer that consists of spans alone. A score
("won 3-1"), an age or a count has none of these. All repetitions are bounded, so the time is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
_LATIN = {  # a letter must not follow: "5 s" is a time, "5 sheep" is none
    SECOND: r"s|secs?|seconds?|sek|sekunden?|sekund[yu]?|secondes?|segundos?|second[oi]|сек|секунд[аыу]?|с|saniye",
    MINUTE: r"mins?|minutes?|minuten?|minutos?|minut[oi]|мин|минут[аыу]?|dakika",
    HOUR: r"h|hrs?|hours?|stunden?|heures?|horas?|or[ae]|час(?:а|ов)?|saat",
}
_OTHER = {
    SECOND: "秒钟?|秒|초|ثانية|ثوان|सेकंड|सेकेंड|सेकण्ड",
    MINUTE: "分钟|分|분|دقيقة|دقائق|मिनट",
    HOUR: "小时|時間|时|시간|ساعة|ساعات|घंटे|घंटा",
}
_UNIT = {size: rf"(?:(?:{_LATIN[size]})(?![^\W\d_])|{_OTHER[size]})" for size in _LATIN}
_NUMBER = r"\d{1,9}(?:\.\d{1,9}|,\d{1,9}(?![.,]?\d))?"
_AND = r"\s{0,2}(?:,|and|und|et|y|e|и)?\s{0,2}"
_MINUTES = rf"(?:{_UNIT[MINUTE]}|m(?![^\W\d_])|m(?=\d))"
_TOKEN = re.compile(
    rf"""
    (?P<noise>
        \d{{1,4}}(?:([-/.])\d{{1,4}}\2\d{{1,4}})(?:[T ]\d\d:\d\d(?::\d\d)?)?  # a date, a version
      | \d{{1,2}}(?::\d\d){{0,2}}\s?(?:[ap]\.?m\b|o['’]clock|Uhr\b)          # a time of day
      | (?:the|[$€£¥#№])\s?{_NUMBER}s?                                       # the 1960s, a price, a number
      | (?:{_NUMBER})\s?(?:[%°€$]|fps\b|[x×]\s?\d)                           # a share, a size
    )
  | (?P<clock>(?:(?P<ch>\d{{1,4}}):)?(?P<cm>\d{{1,4}}):(?P<cs>\d\d(?:[.,]\d{{1,9}})?))(?![:\d])
  | (?P<noise2>\d{{1,9}}(?:\.\d{{1,9}})?(?::\d{{1,9}}(?:\.\d{{1,9}})?)+)     # a ratio: 16:9
  | (?P<hours>{_NUMBER})\s{{0,2}}{_UNIT[HOUR]}(?:{_AND}(?P<hm>{_NUMBER})\s{{0,2}}{_MINUTES})?
        (?:{_AND}(?P<hs>{_NUMBER})\s{{0,2}}{_UNIT[SECOND]})?
  | (?P<minutes>{_NUMBER})\s{{0,2}}(?:{_MINUTES}{_AND}(?P<ms>{_NUMBER})\s{{0,2}}{_UNIT[SECOND]}|{_UNIT[MINUTE]})
  | (?P<seconds>{_NUMBER})\s{{0,2}}{_UNIT[SECOND]}
  | (?P<nth>\d{{1,9}})(?:st|nd|rd|th)\b(?:\s(?:{_UNIT[SECOND]}))?
  | (?P<number>{_NUMBER})
    """,
    re.VERBOSE | re.IGNORECASE,
)

_EDGE = r"[\s<>\[\]()\"'`*]{0,6}"
_BEFORE_TIME = (
    r"(?:(?:about|around|roughly|approximately|approx\.?|the|t\s?=|timestamps?|seconds?|minutes?|第)\s{0,2})?"
)
_DASH = re.compile(rf"{_EDGE}(?:-{{1,2}}>|→|=>|-|~){_EDGE}{_BEFORE_TIME}")
_TO = re.compile(
    rf"{_EDGE}(?:,\s)?(?:to|until|till?|thru|through|up to|bis|à|a|al|ate|até|hasta|jusqu['’]?à|по|до"
    rf"|到|至|から|부터|إلى|حتى|से|['’]?[dt][ae]n){_EDGE}{_BEFORE_TIME}",
    re.IGNORECASE,
)
_AND_WORD = re.compile(rf"{_EDGE}(?:and|und|et|y|e|и|和|与|و|और){_EDGE}{_BEFORE_TIME}", re.IGNORECASE)
_END_WORD = re.compile(
    rf"(?:</\w{{1,10}}>)?{_EDGE}[,;.|]?{_EDGE}(?:and\s)?(?:it\s)?/?{_EDGE}(?:end|finish|stop)(?:s|es|ed|ing)?[\s_]{{0,2}}"
    rf"(?:time)?{_EDGE}(?:at|is|by|with|[:=]){{0,2}}{_EDGE}{_BEFORE_TIME}(?:/?\w{{1,5}}>)?{_EDGE}",
    re.IGNORECASE,
)
_COMMA = re.compile(rf"{_EDGE}[,;]?{_EDGE}")

_HEAD = rf"{_EDGE}{_BEFORE_TIME}{_EDGE}$"
_BETWEEN_BEFORE = re.compile(rf"(?:between|zwischen|entre|tra|fra|между|介于|بين|के बीच){_HEAD}", re.IGNORECASE)
_FROM_BEFORE = re.compile(
    rf"(?:from|starting|von|vom|ab|de|du|des|desde|del?|da|dal|с|от|从|自|第|من){_HEAD}", re.IGNORECASE
)
_START_BEFORE = re.compile(
    rf"(?:start|begin)(?:s|ning|ing|ed)?[\s_]{{0,2}}(?:time)?{_EDGE}(?:at|is|[:=]){{0,2}}{_HEAD}", re.IGNORECASE
)
_LABEL_BEFORE = re.compile(
    r"\b(?:happen(?:s|ed|ing)?|occur(?:s|red|ring)?|event|moment|clips?|segments?|intervals?|spans?|windows?|ranges?"
    r"|times?|timestamps?|answer)"
    rf"(?:\s{{0,2}}(?:is|are|in|at|from|during|between|[:=]|\d\s?:)){{0,3}}{_HEAD}",
    re.IGNORECASE,
)
_UNIT_BEFORE = re.compile(rf"(?:seconds?|secs?|sekunden?|secondes?|segundos?|秒){_EDGE}$", re.IGNORECASE)
_LENGTH_BEFORE = re.compile(
    r"\b(?:last(?:s|ed|ing)?|for|takes?|took|every|within|duration|wait(?:s|ed)?|after|over|by|least|most)"
    r"(?:\s(?:of|is|about|around|only|roughly|another)){0,2}\s$",
    re.IGNORECASE,
)
_LENGTH_AFTER = re.compile(
    r"[\s-]{1,2}(?:long|later|after|before|earlier|ago|delays?|apart|each|per|faster|slower|clips?|videos?|pause|break|in"
    r"\slength|of\s(?!the\s(?:video|clip|film|recording)))",
    re.IGNORECASE,
)
_NOUN_AFTER = re.compile(r"\s{0,2}(?!(?:of|in|and|where|when|as|while|with|seconds?|the)\b)[^\W\d_]", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z_|]{1,30}/?>|<\|[a-z_]{1,30}\|>", re.IGNORECASE)
_PRIORITY_BEFORE = re.compile(r"\b(P[12])\b[^\w\n]{0,6}(?:from|between|at)?[^\w\n]{0,3}$")

Link = Literal["dash", "to", "and", "end", "comma"]
_LINKS: tuple[tuple[Link, re.Pattern[str]], ...] = (
    ("dash", _DASH),
    ("to", _TO),
    ("and", _AND_WORD),
    ("end", _END_WORD),
    ("comma", _COMMA),
)


@dataclass(frozen=True)
class ProseSpan:
    """A span in a text: start and end in seconds as written, and its priority where the text names one."""

    start: float
    end: float
    priority: str | None


@dataclass(frozen=True)
class _Time:
    """A time in a text at [at, to): its number, its unit in seconds (None: none is written), whether a clock."""

    at: int
    to: int
    number: float
    unit: float | None
    clock: bool

    @property
    def told(self) -> bool:
        return self.clock or self.unit is not None


def plain_text(text: str) -> str:
    """The text with digits, dashes, full-width marks and decimal signs of other scripts as ASCII ones."""
    return text if text.isascii() else "".join(map(_plain_char, text))


def read_prose(text: str) -> list[ProseSpan]:
    """The spans that a text names, in the order written.

    Args:
        text: anything; :func:`plain_text` is applied.

    Returns:
        Spans in seconds, not checked against any video. None where no two times make a span. Never raises.
    """
    text = plain_text(text)
    times = list(_times(text))
    whole = _is_whole(text)
    spans: list[ProseSpan] = []
    place = 0
    while place + 1 < len(times):
        one, other, next_one = times[place], times[place + 1], (*times[place + 2 : place + 3], None)[0]
        link = _link(text, one, other)
        if link == "dash" and next_one is not None and not next_one.told and _link(text, other, next_one) == "dash":
            place += 3  # 1-2-3 is no span
        elif one is None or other is None or link is None or (link == "comma" and len(times) > 2):
            place += 1  # a row of numbers is no span either
        elif _is_span(text, one, other, link, whole):
            spans.append(_span(text, one, other))
            place += 2
        else:
            place += 1
    return spans


def _plain_char(char: str) -> str:
    if char.isascii():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if char in "‐‑‒–—―−﹣－":
        return "-"
    if char in "～〜∼":
        return "~"
    if char in "٫":
        return "."
    if char in "،、，":
        return ","
    if char in "「『【〈《‹«":
        return "<"
    if char in "」』】〉》›»":
        return ">"
    if "\uff01" <= char <= "\uff5e":
        return chr(ord(char) - 0xFEE0)
    return " " if char.isspace() else char


def _times(text: str) -> Iterator[_Time | None]:
    """The times of a text in order; None stands for what is no time, and parts its neighbours."""
    for match in _TOKEN.finditer(text):
        before = text[match.start() - 1 : match.start()]
        if match["noise"] or match["noise2"] or (before.isalnum() and before.isascii()):
            yield None
            continue
        yield _time(match)


def _time(match: re.Match[str]) -> _Time:
    part = match.groupdict()
    at, to = match.span()
    if part["clock"]:
        seconds = int(part["ch"] or 0) * HOUR + int(part["cm"]) * MINUTE + float(part["cs"].replace(",", "."))
        return _Time(at, to, seconds, None, True)
    if part["hours"]:
        seconds = _number(part["hours"]) * HOUR + _number(part["hm"]) * MINUTE + _number(part["hs"])
        return _Time(at, to, seconds / HOUR, HOUR, False)
    if part["minutes"]:
        seconds = _number(part["minutes"]) * MINUTE + _number(part["ms"])
        return _Time(at, to, seconds, SECOND, False) if part["ms"] else _Time(at, to, seconds / MINUTE, MINUTE, False)
    if part["seconds"]:
        return _Time(at, to, _number(part["seconds"]), SECOND, False)
    if part["nth"]:
        unit = SECOND if match[0][-1] not in "tdh" or " " in match[0] else None
        return _Time(at, to, float(part["nth"]), unit, False)
    return _Time(at, to, _number(part["number"]), None, False)


def _number(text: str | None) -> float:
    """A decimal comma or point; three digits after a comma are thousands."""
    if text is None:
        return 0.0
    whole, comma, rest = text.partition(",")
    return float(whole + rest if comma and len(rest) == 3 and whole != "0" else text.replace(",", "."))


def _link(text: str, one: _Time | None, other: _Time | None) -> Link | None:
    """What the words between two times say."""
    if one is None or other is None or other.at - one.to > 40:
        return None
    between = text[one.to : other.at]
    return next((name for name, pattern in _LINKS if pattern.fullmatch(between)), None)


def _is_span(text: str, one: _Time, other: _Time, link: Link, whole: bool) -> bool:
    before, after = text[max(0, one.at - 40) : one.at], text[other.to : other.to + 24]
    wrapped = text[one.at - 1 : one.at] in ("<", "[") and text[one.to : one.to + 1] in (">", "]")
    both = bool(_BETWEEN_BEFORE.search(before))
    ranged = both or bool(_FROM_BEFORE.search(before))
    if link == "end":
        return bool(_START_BEFORE.search(before))
    if link == "and":
        return both and (one.told or other.told or wrapped or bool(_LABEL_BEFORE.search(before)))
    if link == "comma":
        return whole and not one.clock and other.number > one.number
    if not ranged and not one.told and (other.number <= one.number or _LENGTH_BEFORE.search(before)):
        return False  # won 3-1; waits for 3-5 seconds
    if not ranged and not one.clock and (_LENGTH_AFTER.match(after) or _LENGTH_BEFORE.search(before)):
        return False
    if (one.clock and other.clock) or one.unit is not None or other.unit is not None or wrapped or whole:
        return True
    if one.told or other.told or _NOUN_AFTER.match(after):
        return False
    return bool(_LABEL_BEFORE.search(before) or _UNIT_BEFORE.search(before))


def _span(text: str, one: _Time, other: _Time) -> ProseSpan:
    """Both in seconds; a time without a unit has the other's."""
    units = [time.unit for time in (one, other) if time.unit is not None]
    start, end = (
        time.number * (1.0 if time.clock or not units else units[0] if time.unit is None else time.unit)
        for time in (one, other)
    )
    priority = _PRIORITY_BEFORE.search(text[max(0, one.at - 20) : one.at])
    return ProseSpan(start, end, priority[1] if priority else None)


def _is_whole(text: str) -> bool:
    """Whether a text has nothing but numbers and what parts them."""
    rest = _TOKEN.sub("", _TAG.sub("", text))
    return not re.search(r"[^\W\d_]", re.sub(r"\b(?:to|until|and|from|between|P[12])\b", "", rest))
