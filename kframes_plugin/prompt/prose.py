"""Find time spans in plain sentences: "from 61.0s to 74.5s", "<1:01>-<1:14>", "61,0 bis 74,5 Sekunden". Pure.

Two neighbouring times are a span where the words between them say so and something tells that they are times of a
video: a unit, two clocks, brackets around each, a label as "happens in", or an answer that consists of spans alone. A
score ("won 3-1"), an age, a length or a citation has none of these. In a row of spans ("3 - 9, 20 - 31 seconds") one
tells for all. All repetitions are bounded, so the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kframes_plugin.prompt.times import TOKEN, Time, is_list_of_pairs, plain_text, read_times

_EDGE = r"[\s<>\[\](){}\"'`*]{0,6}"
_BEFORE_TIME = (
    r"(?:(?:about|around|roughly|approximately|approx\.?|the|t\s?=|@|timestamps?|time|seconds?|minutes?|第)\s{0,2})?"
)
_GAP = rf"(?:\s(?:mark|point))?\.?{_EDGE}"
_LINKS = {  # what may stand between two times, the first that fits counts
    "dash": rf"{_GAP}(?:-{{1,2}}>?|→|=>|~|\.{{2,3}}){_EDGE}{_BEFORE_TIME}",
    "to": rf"{_GAP}(?:,\s)?(?:to|until|till?|thru|through|up to|bis|à|a|al|ate|até|hasta|jusqu['’]?à|do|tot|по|до|đến"
    rf"|hingga|sampai|到|至|から|부터|에서|إلى|حتى|से|থেকে|ถึง|['’]?[dt][ae]n){_EDGE}{_BEFORE_TIME}",
    "and": rf"{_GAP}(?:and|und|et|y|e|и|和|与|與|و|और){_EDGE}{_BEFORE_TIME}",
    "end": rf"{_EDGE}[,;.|]?{_EDGE}(?:and|und|et|y|и)?\s?(?:it\s)?{_EDGE}(?:(?:end|finish|stop|close)(?:s|es|ed|ing)?"
    rf"|fine?|ende|endet|конец|结束|結束|終了)[\s_]{{0,2}}(?:time|时间|時間)?{_EDGE}(?:at|is|by|with|um|bei|à|[:=-]){{0,2}}{_EDGE}"
    rf"{_BEFORE_TIME}{_EDGE}",
    "lasting": rf"{_EDGE},?{_EDGE}(?:and\s)?(?:it\s)?(?:lasts?|lasting|for|with a duration of|duration{_EDGE}[:=])"
    rf"{_EDGE}(?:for\s)?{_BEFORE_TIME}",
    "comma": rf"{_EDGE}[,;|]?{_EDGE}",
    "slash": rf"{_EDGE}/{_EDGE}",
}
_LINK = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _LINKS.items()), re.IGNORECASE)
_BETWEEN_ROWS = re.compile(
    rf"(?:\.?{_EDGE}[,;&|]?{_EDGE}(?:and|und|et|y|e|и|和|و|or|then)?{_EDGE}(?:then|again|also)?\s?(?:from|between)?{_EDGE})"
)

_HEAD = rf"{_EDGE}{_BEFORE_TIME}{_EDGE}$"
_RANGE_BEFORE = re.compile(
    r"(?:(?P<between>between|zwischen|entre|tra|fra|между|介于|介於|بين|के बीच)|from|starting|von|vom|ab|de|du|des|desde"
    rf"|del?|da|dal|od|van|từ|dari|с|от|从|從|自|第|من){_HEAD}",
    re.IGNORECASE,
)
_START_BEFORE = re.compile(
    r"(?:(?:start|begin)(?:s|ning|ing|ed)?|beginn?t?|anfang|début|debut|commence|inicio|comienza|inizio|начало|开始|開始)"
    rf"[\s_]{{0,2}}(?:time|时间|時間)?{_EDGE}(?:at|is|um|bei|à|[:=-]){{0,2}}{_HEAD}",
    re.IGNORECASE,
)
_LINKING = r"(?:\s{0,2}(?:is|are|in|at|from|during|between|[:=]|\d\s?:))"
_LABEL_BEFORE = re.compile(
    r"(?:\b(?:happen(?:s|ed|ing)?|occur(?:s|red|ring)?|takes place)(?:\s(?:is|are|in|at|from|during|between|:)){0,3}"
    r"|(?:^|\b)(?:event|moment|clips?|segments?|intervals?|spans?|windows?|ranges?|timestamps?|answer|P[12]"
    rf"|(?<!half[ -])(?<!full[ -])times?){_EDGE}(?:{_LINKING}{{1,3}}|(?<=^event)|(?<=segment\s))"
    rf"|(?:时间[段戳]?|時間|片段|区间|區間|答案)(?:是|为|為|[:：])?){_HEAD}",
    re.IGNORECASE,
)
_LENGTH_BEFORE = re.compile(
    r"\b(?:last(?:s|ed|ing)?|for|takes?|took|every|within|durations?|lengths?|delay|pause|gap|wait(?:s|ed|ing)?|after|over"
    r"|by|least|most|a|an|another|each|only|next|first|last|past|(?:clips?|videos?|shots?)\sof"
    r"|(?:video|film|recording|movie)\s(?:is|lasts))"
    r"(?:\s(?:of|is|about|around|only|roughly|another)|:){0,2}\s(?:anywhere\s)?(?P<range>from\s|between\s)?$",
    re.IGNORECASE,
)
_IN_BEFORE = re.compile(r"\bin\s(?:about\s|around\s)?$", re.IGNORECASE)
_LENGTH_AFTER = re.compile(
    r"[\s-]{1,2}(?:long|later|after|before|earlier|ago|delays?|apart|each|per|faster|slower|clips?|videos?|pause|break|in"
    r"\slength|of\s(?!th(?:e|is)\s(?:video|clip|film|recording)))",
    re.IGNORECASE,
)
_NOUN_AFTER = re.compile(r"\s{0,2}(?!(?:of|in|and|where|when|as|while|with|seconds?|the)\b)[^\W\d_]", re.IGNORECASE)
# Two clocks that are a place in a book, a ratio or hours of a day
_OTHER_CLOCKS = re.compile(
    r"(?:\b(?:genesis|exodus|leviticus|numbers|deuteronomy|joshua|judges|ruth|samuel|kings|chronicles|ezra|nehemiah|esther"
    r"|job|psalms?|proverbs|ecclesiastes|isaiah|jeremiah|ezekiel|daniel|hosea|joel|amos|jonah|micah|matthew|mark|luke"
    r"|john|acts|romans|corinthians|galatians|ephesians|philippians|colossians|timothy|titus|hebrews|james|peter|jude"
    r"|revelation|verses?|chapter|s[uū]rah?|qur['’]?an)|\b(?:ratio|scale|odds|scores?|open|opens|opening hours|hours"
    r"|weekdays|daily|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|mon|tue|wed|thu|fri|sat))[\s:,]{1,3}(?:of\s|from\s|is\s){0,2}$",
    re.IGNORECASE,
)
_HOURS_AFTER = re.compile(
    r",?\s(?:on\s)?(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|today|tomorrow|daily|local time|CES?T|GMT|UTC)\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\b(?:clip|scene|segment|shot|part|event|moment|span|step|no\.?|number|#)\s?#?$", re.IGNORECASE)
_TAG = re.compile(r"</?([a-z_]{1,30})\s?/?>|<\|[a-z_]{1,30}\|>|\\(?:text|boxed|mathrm)\b", re.IGNORECASE)
_LIST_MARK = re.compile(r"^[ \t]{0,8}(?:\d{1,2}[.)]|[-*•])[ \t]{1,4}(?=\S)", re.MULTILINE)
_PRIORITY_BEFORE = re.compile(r"\b(P[12])\b[^\w\n]{0,6}(?:from|between|at)?[^\w\n]{0,3}$")
_WORDS_OF_SPANS = re.compile(
    r"\b(?:to|until|and|from|between|P[12]|start|end|json|(?:times?|clips?|spans?|segments?|answer)(?=\W{0,6}\d))\b",
    re.I,
)


@dataclass(frozen=True)
class ProseSpan:
    """A span in a text: start and end in seconds as written, and its priority where the text names one."""

    start: float
    end: float
    priority: str | None


@dataclass(frozen=True)
class _Pair:
    """Two neighbouring times and what the words between them say."""

    one: Time
    other: Time
    link: str
    enclosed: str  # the bracket that both are in, as [61, 74.5], or the bar of a table

    @property
    def unit(self) -> float | None:
        return self.one.unit if self.one.unit is not None else self.other.unit

    @property
    def clocks(self) -> bool:
        return self.one.clock and self.other.clock

    def seconds(self, unit: float | None) -> tuple[float, float]:
        """Start and end; a time without a unit has the other's, or else ``unit``."""
        own = self.unit if self.unit is not None else unit
        start, end = (
            time.number
            * (1.0 if time.clock else time.unit if time.unit is not None else own if own is not None else 1.0)
            for time in (self.one, self.other)
        )
        return (start, start + end) if self.link == "lasting" else (start, end)


def read_prose(text: str) -> list[ProseSpan]:
    """The spans that a text names, in the order written.

    Args:
        text: anything; :func:`~kframes_plugin.prompt.times.plain_text` is applied.

    Returns:
        Spans in seconds, not checked against any video. None where no two times make a span. Never raises.
    """
    text = _LIST_MARK.sub("", _TAG.sub(_tag_word, plain_text(text)))
    times = list(read_times(text))
    alone = _is_alone(text, times)
    pairs = list(_pairs(text, times, alone))
    alone = alone and all(_ascends(pair, pair.seconds(None)) for pair in pairs)
    spans = []
    for row in _rows(text, pairs):
        unit = next((pair.unit for pair in row if pair.unit is not None), None)
        if any(_is_span(text, pair, alone) for pair in row):
            spans += [
                ProseSpan(*pair.seconds(unit), _priority(text, pair))
                for pair in row
                if _ascends(pair, pair.seconds(unit))
            ]
    return spans


def _tag_word(match: re.Match[str]) -> str:
    """What stays of a tag: <start> and <end> say what their time is."""
    opened = match[1] is not None and not match[0].startswith("</")
    return f" {match[1]} " if opened and match[1].lower().startswith(("start", "begin", "end")) else " "


def _is_alone(text: str, times: list[Time | None]) -> bool:
    """Whether a text has nothing but spans, and what parts them."""
    return None not in times and not re.search(r"[^\W\d_]", _WORDS_OF_SPANS.sub("", TOKEN.sub("", text)))


def _pairs(text: str, times: list[Time | None], alone: bool) -> Iterator[_Pair]:
    """Neighbouring times that may be spans, no time in two of them."""
    listed = alone and is_list_of_pairs([time.number for time in times if time is not None])
    links = [*(_link(text, one, other) for one, other in pairwise(times)), None]
    place = 0
    while place + 1 < len(times):
        one, other, after = times[place], times[place + 1], (*times[place + 2 : place + 3], None)[0]
        link, next_link = links[place : place + 2]
        chained = link in ("dash", "to") and next_link in ("dash", "to")
        place += 1
        if one is None or other is None or link is None:
            continue
        enclosed = _bracket(text, one, other)
        if chained and not one.told and (other.told or _NAMED.search(text[max(0, one.at - 12) : one.at])):
            continue  # scene 2 - 61.0s to 74.5s
        if chained and link == next_link and after is not None and not after.told:
            place += 2  # 1-2-3 is no span
        elif link != "comma" or listed or enclosed:
            place += 1
            yield _Pair(one, other, link, enclosed)


def _bracket(text: str, one: Time, other: Time) -> str:
    """The opening bracket right before a pair that is closed right after it, or the bar of a table; else nothing."""
    opening, closing = text[max(0, one.at - 2) : one.at].strip()[-1:], text[other.to : other.to + 2].strip()[:1]
    return opening if opening + closing in ("[]", "{}", "()", "||") else ""


def _link(text: str, one: Time | None, other: Time | None) -> str | None:
    """What the words between two times say: a name of ``_LINKS``."""
    if one is None or other is None or other.at - one.to > 40:
        return None
    match = _LINK.fullmatch(text, one.to, other.at)
    return None if match is None else match.lastgroup


def _rows(text: str, pairs: list[_Pair]) -> Iterator[list[_Pair]]:
    """Pairs of one form with only a comma or "and" between them."""
    row: list[_Pair] = []
    for pair in pairs:
        if row:
            last = row[-1]
            same = (last.link, last.enclosed, last.clocks) == (pair.link, pair.enclosed, pair.clocks)
            between = text[last.other.to : pair.one.at]
            if not (same and len(between) < 40 and _BETWEEN_ROWS.fullmatch(between)):
                yield row
                row = []
        row.append(pair)
    if row:
        yield row


def _is_span(text: str, pair: _Pair, alone: bool) -> bool:
    """Whether a pair tells by itself that it is a span of a video."""
    one, other, link = pair.one, pair.other, pair.link
    before, after = text[max(0, one.at - 50) : one.at], text[other.to : other.to + 24]
    if not _ascends(pair, pair.seconds(None)) or _is_other(pair, before, after):
        return False
    if link in ("end", "lasting"):
        return bool(_START_BEFORE.search(before)) and (link == "end" or other.unit is not None)
    if alone:
        return True
    labelled = bool(_LABEL_BEFORE.search(before))
    ranged = _RANGE_BEFORE.search(before)
    if link == "and" and (ranged is None or not ranged["between"]):
        return False
    exact = pair.enclosed in ("[", "{") and not (one.whole and other.whole)
    if link == "comma" and not (labelled or exact or pair.clocks or pair.unit or re.search(r":\s?.$", before)):
        return False  # a citation, a place
    if not pair.clocks and _is_length(pair, before, after, ranged is not None, labelled):
        return False
    wrapped = text[one.at - 1 : one.at] in ("<", "[") and text[one.to : one.to + 1] in (">", "]")
    if pair.clocks or pair.unit is not None or wrapped or link == "comma":
        return True
    return labelled and not one.told and not other.told and not _NOUN_AFTER.match(after)


def _ascends(pair: _Pair, span: tuple[float, float]) -> bool:
    """Scores and records fall ("won 3-1"); one moment may be written twice."""
    return span[0] < span[1] or (span[0] == span[1] and pair.one.told and pair.other.told)


def _is_other(pair: _Pair, before: str, after: str) -> bool:
    """Whether a pair is of another kind: verses, hours of a day, years."""
    if pair.clocks:
        return bool(_OTHER_CLOCKS.search(before) or _HOURS_AFTER.match(after))
    years = all(time.whole and not time.told and 1900 <= time.number < 2100 for time in (pair.one, pair.other))
    return years and not pair.enclosed


def _is_length(pair: _Pair, before: str, after: str, ranged: bool, labelled: bool) -> bool:
    """Whether a pair says how long something takes ("lasts 3 to 5 seconds"), not when it is."""
    if pair.one.told and pair.other.told and ranged:
        return False  # lasts from 61s to 74s
    if _LENGTH_AFTER.match(after):
        return True
    if labelled:
        return False
    whole = pair.one.whole and pair.other.whole
    length = _LENGTH_BEFORE.search(before)
    if length is not None:
        return whole or length["range"] is None or length["range"].strip().lower() != "from"
    return whole and _IN_BEFORE.search(before) is not None


def _priority(text: str, pair: _Pair) -> str | None:
    found = _PRIORITY_BEFORE.search(text[max(0, pair.one.at - 20) : pair.one.at])
    return found[1] if found else None
