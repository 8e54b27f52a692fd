"""Recognise clips in what a model wrote, under whatever names and in whatever wrapping.

Text -> JSON-like values -> :class:`RawClip`. Times stay in the model's own unit and may lie anywhere;
``prompt.parse_clips`` turns them into clips of a video. Nothing here raises, and every repair is counted.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kframes_plugin.prompt.lenient_json import MAX_DEPTH, read_lenient
from kframes_plugin.prompt.prose import read_prose
from kframes_plugin.types import Note, Priority

MAX_REASON = 200  # characters: about 20 words and 50 tokens
MAX_TEXT = 30_000  # characters; 64 clips with long reasons have 20,000. The rest is not read: time stays bounded

UNREADABLE = "answer-unreadable"  # the code of a note

# What models call the four keys of a clip, without case, blanks and underscores; "span" is start and end in one.
NAMES = {
    "start": {"start", "starts", "starttime", "startsec", "startseconds", "startframe", "begin", "from"},
    "end": {"end", "ends", "endtime", "endsec", "endseconds", "endframe", "finish", "stop", "to", "until"},
    "span": {"span", "clip", "segment", "interval", "range", "timerange", "window", "time", "times", "timestamp"},
    "priority": {"priority", "level", "rank", "tag", "importance"},
    "reason": {"reason", "reasons", "reasoning", "rationale", "explanation", "why", "description", "caption", "label"},
}
_KNOWN = set().union(*NAMES.values())
_CANONICAL = NAMES.keys() - {"span"}

_P1 = {"p1", "1", "one", "top", "first", "primary", "main", "high", "highest", "key", "critical"}
_P2 = {"p2", "2", "two", "second", "secondary", "p3", "3", "third", "tertiary", "medium", "mid", "low", "minor"}
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:[.,]\d{1,9})?)")
_AMOUNT = r"(\d{1,9}(?:\.\d{1,9})?)\s*"
_UNITS = re.compile(
    rf"(?:{_AMOUNT}(?:h|hrs?|hours?))?\s*(?:{_AMOUNT}(?:m|mins?|minutes?))?\s*(?:{_AMOUNT}(?:s|secs?|seconds?))?"
)
_PAIR = re.compile(r"\(\s*(\d{1,9}(?:\.\d{1,9})?)\s*,\s*(\d{1,9}(?:\.\d{1,9})?)\s*\)")
_PAIRS = re.compile(rf"\s*[\[(]?\s*{_PAIR.pattern}(?:\s*,\s*{_PAIR.pattern})*\s*,?\s*[\])]?\s*")  # Python's tuples
_BETWEEN = re.compile(r"\s*(?:-->|->|→|–|—|-|~|\bto\b|\buntil\b)\s*")


@dataclass(frozen=True)
class RawClip:
    """A clip as written: start and end in the model's unit, any numbers but NaN; ``reason`` None where missing."""

    start: float
    end: float
    priority: Priority
    reason: str | None


@dataclass
class Answer:
    """The clips found in a text, in the order written, and a count of every repair."""

    clips: list[RawClip] = field(default_factory=list)
    repairs: Counter[Note] = field(default_factory=Counter)

    def repaired(self, what: str, code: str = "answer-repaired") -> None:
        """Count a repair, in words that say what was done."""
        self.repairs[Note(code, f"answer: {what}")] += 1

    def notes(self) -> list[Note]:
        """One note for each kind of repair."""
        return [Note(one.code, one.text + (f" ({n} times)" if n > 1 else "")) for one, n in self.repairs.items()]


def read_answer(text: str, *, prose: bool = True) -> Answer:
    """The clips of an answer. Where several lists are written the last one counts: models draft before they answer.

    With ``prose``, an answer without any list is read as sentences that name spans in seconds.
    """
    answer = Answer()
    text = _without_thinking(text, answer)
    if len(text) > MAX_TEXT:
        answer.repaired(f"read only the first {MAX_TEXT} of {len(text)} characters")
    if _PAIRS.fullmatch(text[:MAX_TEXT]):
        answer.repaired("read pairs in round brackets as lists")
        text = "[" + ",".join(f"[{start},{end}]" for start, end in _PAIR.findall(text[:MAX_TEXT])) + "]"
    values = _values(text[:MAX_TEXT], answer)
    found = [(value, inner) for value in values if (inner := _read_value(value)).clips or value == []]
    if not found and prose and (spans := read_prose(text[:MAX_TEXT])):
        answer.repaired("read the times out of prose")
        answer.clips += [RawClip(span.start, span.end, _tell_priority(span.priority, answer), None) for span in spans]
        return answer
    if not found:
        said = tidy_text(text, 80)
        answer.repaired(f"no clips could be read in {said!r}" if said else "the model wrote nothing", UNREADABLE)
        for inner in map(_read_value, values):
            answer.repairs += inner.repairs
        return answer
    if len(found) > 1 and all(_is_clip(value) for value, _ in found):
        answer.repaired("put single clips together into a list")
    elif len(found) > 1:
        answer.repaired("took the last of several lists")
        found = found[-1:]
    for _, inner in found:
        answer.clips += inner.clips
        answer.repairs += inner.repairs
    return answer


def _without_thinking(text: str, answer: Answer) -> str:
    """What follows the thinking of a reasoning model; nothing where it never came to an end."""
    before, closed, after = text.rpartition("</think>")
    if closed:
        answer.repaired("skipped the thinking before it")
        return after
    before, opened, _ = text.partition("<think>")
    if opened:
        answer.repaired("the thinking was cut off before an answer came", UNREADABLE)
        return before
    return text


def _values(text: str, answer: Answer) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    else:
        if not isinstance(value, str):
            return [value]
    reading = read_lenient(value)  # not JSON, or JSON inside of a JSON string
    if reading.values:
        if reading.cut_off:
            answer.repaired("closed a list that was cut off")
        if reading.around:
            answer.repaired("took the list out of the text around it")
        if not answer.repairs:
            answer.repaired("read JSON with mistakes in it")
    return reading.values


def _read_value(value: Any) -> Answer:
    answer = Answer()
    _walk(value, answer, None, 0)
    return answer


def _is_clip(value: Any) -> bool:
    return _clip(value, Answer(), None) is not None


def _walk(value: Any, answer: Answer, priority: Any, depth: int) -> None:
    """Collect the clips of a value; ``priority`` is what an object around it says, as {"P1": [[3, 9]]}."""
    clip = _clip(value, answer, priority)
    if clip is not None:
        answer.clips.append(clip)
        if depth != 1:
            answer.repaired("took a clip out of another value than a list of clips")
    elif isinstance(value, list) and value and depth < MAX_DEPTH:
        for item in value:
            _walk(item, answer, priority, depth + 1)
    elif isinstance(value, dict) and value and depth < MAX_DEPTH:
        inner = {key: item for key, item in value.items() if isinstance(item, (dict, list)) or _is_clip(item)}
        if _get(value, "start") is not None or _get(value, "end") is not None:
            answer.repaired("dropped a clip without a usable start and end")
        elif not inner:
            answer.repaired("skipped something that is no clip")
        for key, item in inner.items():
            _walk(item, answer, key if _priority(key) else _get(value, "priority") or priority, depth + 1)
    elif depth or value != []:
        answer.repaired("skipped something that is no clip")


def _clip(value: Any, answer: Answer, priority: Any) -> RawClip | None:
    """The clip that a value is: an object, a list [start, end, priority?, reason?] or a text "12 - 20"."""
    if isinstance(value, dict):
        return _clip_of_object(value, answer, priority)
    if isinstance(value, str):
        span, rest = _span(value), []
    elif isinstance(value, list) and 2 <= len(value) <= 4:
        span, rest = _span(value[:2]), value[2:]
        if any(not (item is None or isinstance(item, str) or _priority(item)) for item in rest):
            return None  # a row of numbers
    else:
        return None
    if span is None:
        return None
    answer.repaired("read a clip that is no object with start and end")
    words = [item for item in rest if isinstance(item, str) and not _priority(item)]
    tags = [item for item in rest if _priority(item)]
    return RawClip(*span, _tell_priority(tags[0] if tags else priority, answer), words[0] if words else None)


def _clip_of_object(value: dict[str, Any], answer: Answer, priority: Any) -> RawClip | None:
    start, end, span = (_get(value, name) for name in ("start", "end", "span"))
    complete = start is not None and end is not None
    times = _span([start, end]) if complete else _span(span) or _span([span, span])
    if times is None:
        return None
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
        answer.repaired("read times that were not plain numbers")
    for key in value.keys() - _CANONICAL:
        known = _plain(key) in _KNOWN
        answer.repaired("read another name of a key" if known else "skipped an unknown key of a clip")
    said, reason = _get(value, "priority"), _get(value, "reason")
    if reason is not None and not isinstance(reason, str):
        answer.repaired("turned a reason into text")
        reason = json.dumps(reason, ensure_ascii=False)
    return RawClip(*times, _tell_priority(said if said is not None else priority, answer), reason)


def _get(value: dict[str, Any], name: str) -> Any:
    """What an object holds under a name, or under another name for it."""
    if value.get(name) is not None:
        return value[name]
    return next((item for key, item in value.items() if _plain(key) in NAMES[name]), None)


def _plain(key: str) -> str:
    """A key or word in lower case letters and digits only."""
    return "".join(char for char in key[:40].lower() if char.isalnum())


def _priority(value: Any) -> Priority | None:
    """What a spelling of a priority means, or None where it is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    word = _plain(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return "P1" if word in _P1 else "P2" if word in _P2 else None


def _tell_priority(value: Any, answer: Answer) -> Priority:
    if value in ("P1", "P2"):
        return "P1" if value == "P1" else "P2"
    known = _priority(value)
    answer.repaired("read another spelling of a priority" if known else "took a missing or unknown priority as P1")
    return known or "P1"


def _span(value: Any) -> tuple[float, float] | None:
    """[start, end] or "start - end"."""
    if isinstance(value, str):
        value = _BETWEEN.split(value[:80].strip())
    if not isinstance(value, list) or len(value) != 2:
        return None
    start, end = map(_time, value)
    return None if start is None or end is None else (start, end)


def _time(value: Any) -> float | None:
    """A number, "12.5", "12.5s", "1m 5s", "1:05", "00:01:05.250" -> the number or the seconds; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    if not isinstance(value, str):
        try:
            return None if math.isnan(value) else float(value)
        except OverflowError:  # a whole number beyond 1e308
            return math.copysign(math.inf, value)
    if len(value) > 40:
        return None
    text = value.strip(" \t\n<>()[]\"'").lower().removeprefix("frame").strip()
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
    if (units := _UNITS.fullmatch(text)) and any(units.groups()):
        hours, minutes, seconds = units.groups(default="0")
        return float(hours) * 3600 + float(minutes) * 60 + float(seconds)
    try:
        return None if math.isnan(float(text)) else float(text)
    except ValueError:
        return None


def tidy_text(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters, without lone surrogates, which cannot be written to a file."""
    line = " ".join(text[: 2 * limit].encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
