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
from kframes_plugin.prompt.thinking import AnswerPart, find_answer
from kframes_plugin.prompt.times import is_list_of_pairs, read_time
from kframes_plugin.text import printable
from kframes_plugin.types import Note, Priority

MAX_REASON = 200  # characters: about 20 words and 50 tokens
MAX_TEXT = 30_000  # characters; 64 clips with long reasons have 20,000. The rest is not read: time stays bounded

UNREADABLE = "answer-unreadable"  # the code of a note
REPAIRED = "answer-repaired"
AS_SPANS = "as spans"  # in place of REPAIRED, until notes() is asked: a repair where spans alone were not asked for

# What models call the four keys of a clip, without case, blanks and underscores; "span" is start and end in one,
# "length" may stand for the end.
NAMES = {
    "start": {"start", "starts", "starttime", "startsec", "startseconds", "startframe", "begin", "from"},
    "end": {"end", "ends", "endtime", "endsec", "endseconds", "endframe", "finish", "stop", "to", "until"},
    "length": {"length", "duration", "durationsec", "durationseconds"},
    "span": {
        "span",
        "clip",
        "segment",
        "interval",
        "range",
        "timerange",
        "window",
        "time",
        "times",
        "timestamp",
        "timestamps",
    },
    "priority": {"priority", "level", "rank", "tag", "importance"},
    "reason": {"reason", "reasons", "reasoning", "rationale", "explanation", "why", "description", "caption", "label"},
}
_KNOWN = set().union(*NAMES.values())
_CANONICAL = NAMES.keys() - {"span", "length"}

_P1 = {"p1", "1", "one", "top", "first", "primary", "main", "high", "highest", "key", "critical"}
_P2 = {"p2", "2", "two", "second", "secondary", "p3", "3", "third", "tertiary", "medium", "mid", "low", "minor"}
_FRAME = re.compile(r"\bframes?\s?(?=\d)", re.IGNORECASE)
_PAIR = re.compile(r"\(\s{0,9}(\d{1,9}(?:\.\d{1,9})?)\s{0,9},\s{0,9}(\d{1,9}(?:\.\d{1,9})?)\s{0,9}\)")  # Python's tuple
# Decimal commas in what is nearly JSON: [61,5 - 74,5] and {"start": 61,5}
_COMMAS = re.compile(r"(\d),(\d{1,9}[^\d,\[\]{}]{1,12}\d{1,9}),(\d)")
_COMMA_OF_KEY = re.compile(r"(?<=[\"'a-z_]:)(\s{0,4}\d{1,9}),(\d{1,9})(?=\s{0,4}[,}])", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z_]{1,30}>|```(?:json)?", re.IGNORECASE)


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

    def repaired(self, what: str, code: str = REPAIRED) -> None:
        """Count a repair, in words that say what was done."""
        self.repairs[Note(code, f"answer: {what}")] += 1

    def notes(self, *, spans: bool = False) -> list[Note]:
        """One note for each kind of repair; with ``spans``, it is none that spans alone are written."""
        told = [(one, count) for one, count in self.repairs.items() if not (spans and one.code == AS_SPANS)]
        return [
            Note(REPAIRED if one.code == AS_SPANS else one.code, one.text + (f" ({count} times)" if count > 1 else ""))
            for one, count in told
        ]


def read_answer(text: str, *, prose: bool = True) -> Answer:
    """The clips of an answer. Where several lists are written the last one counts: models draft before they answer.

    With ``prose``, an answer without any list is read as sentences that name spans in seconds. A row of numbers in the
    middle of a sentence is part of the sentence: it may be a citation.
    """
    answer = Answer()
    part = AnswerPart(text) if _is_json(text) else find_answer(text)
    text = part.text
    if part.thought:
        answer.repaired("skipped the thinking before it")
    if part.cut_off:
        code = REPAIRED if part.text.strip() else UNREADABLE
        answer.repaired("the thinking was cut off before an answer came", code)
    if part.marked:
        answer.repaired("took the marked answer out of the text around it")
    if len(text) > MAX_TEXT:
        answer.repaired(f"read only the first {MAX_TEXT} of {len(text)} characters")
    text = text[:MAX_TEXT]
    values, repairs = _values(text, prose)
    found = [(value, inner) for value in values if (inner := _read_value(value)).clips or value == []]
    if not found and prose and (spans := read_prose(text)):
        answer.repaired("read the times out of prose", AS_SPANS)
        answer.clips += [RawClip(span.start, span.end, _tell_priority(span.priority, answer), None) for span in spans]
        return answer
    answer.repairs += repairs
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


def _is_json(text: str) -> bool:
    """Whether a text is JSON through and through: then what looks like a tag is a word of a reason."""
    try:
        return not isinstance(json.loads(text[:MAX_TEXT]), str)
    except (ValueError, RecursionError):
        return False


def _values(text: str, prose: bool) -> tuple[list[Any], Counter[Note]]:
    """The values of a text; with ``prose``, without the rows of numbers in its sentences. And what was mended."""
    told = Answer()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    else:
        if not isinstance(value, str):
            return [value], told.repairs
    value = _COMMA_OF_KEY.sub(r"\1.\2", _COMMAS.sub(r"\1.\2.\3", value))
    if "(" in value and not re.search(r"[^\W\d_]", _TAG.sub("", value)):
        value = _PAIR.sub(r"[\1,\2]", value)
    reading = read_lenient(value)  # not JSON, or JSON inside of a JSON string
    if reading.values:
        if reading.cut_off:
            told.repaired("closed a list that was cut off")
        if reading.around:
            told.repaired("took the list out of the text around it")
        if not told.repairs:
            told.repaired("read JSON with mistakes in it")
    both = zip(reading.values, reading.places, strict=True)
    return [item for item, place in both if not (prose and _is_in_sentence(value, item, place))], told.repairs


def _is_in_sentence(text: str, value: Any, place: slice) -> bool:
    """Whether a value is a row of numbers or times on a line with words."""
    if not isinstance(value, list) or not value or any(isinstance(item, (list, dict)) for item in value):
        return False
    if not all(_time(item) is not None or (isinstance(item, str) and _spans(item)) for item in value):
        return False
    before, after = text[max(0, place.start - 80) : place.start], text[place.stop : place.stop + 80]
    line = before.rpartition("\n")[2], after.partition("\n")[0]
    return any(re.search(r"[^\W\d_]", _TAG.sub("", part)) for part in line)


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
            answer.repaired("took a clip from a value that is not a list of clips")
    elif isinstance(value, list) and value and depth < MAX_DEPTH:
        for item in _paired(value):
            _walk(item, answer, priority, depth + 1)
    elif isinstance(value, dict) and value and depth < MAX_DEPTH:
        inner = {
            key: item
            for key, item in value.items()
            if isinstance(item, (dict, list))
            or (isinstance(item, str) and _plain(key) not in NAMES["reason"] and _spans(item))
        }
        if _get(value, "start") is not None or _get(value, "end") is not None:
            answer.repaired("dropped a clip without a usable start and end")
        elif not inner:
            answer.repaired("skipped something that is not a clip")
        if keys := {key: spans[0] for key in value if (spans := _spans(key))}:  # {"1:01 - 1:14": "goal"}
            inner = {"": [[*span, value[key]] for key, span in keys.items() if isinstance(value[key], str)]}
        for key, item in inner.items():
            item = [list(span) for span in _spans(item)] if isinstance(item, str) else item
            _walk(item, answer, key if _priority(key) else _get(value, "priority") or priority, depth + 1)
    elif depth or value != []:
        answer.repaired("skipped something that is not a clip")


def _paired(values: list[Any]) -> list[Any]:
    """A flat list [start, end, start, end] as pairs, if it ascends and does not just count up; any other as it is."""
    times = [time for time in map(_time, values) if time is not None]
    if len(times) != len(values) or len(times) < 4 or not is_list_of_pairs(times):
        return values
    return [times[place : place + 2] for place in range(0, len(times), 2)]


def _clip(value: Any, answer: Answer, priority: Any) -> RawClip | None:
    """The clip that a value is: an object, a list [start, end, priority?, reason?] or a text "12 - 20"."""
    if isinstance(value, dict):
        return _clip_of_object(value, answer, priority)
    if isinstance(value, str):
        spans = _spans(value)
        span, rest = spans[0] if len(spans) == 1 else None, []
    elif isinstance(value, list) and 2 <= len(value) <= 4:
        span, rest = _span(value[:2]), value[2:]
        if len(rest) == 1 and isinstance(rest[0], float) and 0 <= rest[0] <= 1:
            rest = []  # [start, end, score]
        if any(not (item is None or isinstance(item, str) or _priority(item)) for item in rest):
            return None  # a row of numbers
        if rest and _time(rest[0]) is not None and not _priority(rest[0]):
            return None  # ["0:05", "0:10", "0:20", "0:31"]
    else:
        return None
    if span is None:
        return None
    answer.repaired("read a clip that is not an object with start and end", AS_SPANS)
    words = [item for item in rest if isinstance(item, str) and not _priority(item)]
    tags = [item for item in rest if _priority(item)]
    return RawClip(*span, _tell_priority(tags[0] if tags else priority, answer), words[0] if words else None)


def _clip_of_object(value: dict[str, Any], answer: Answer, priority: Any) -> RawClip | None:
    start, end, span, length = (_get(value, name) for name in ("start", "end", "span", "length"))
    if start is not None and end is None and (lasting := _span([start, length])):
        end = sum(lasting)
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
    if known is None:
        answer.repaired("took a missing or unknown priority as P1", AS_SPANS)
        return "P1"
    answer.repaired("read another spelling of a priority")
    return known


def _span(value: Any) -> tuple[float, float] | None:
    """[start, end] or "start - end"."""
    if isinstance(value, str):
        spans = _spans(value)
        return spans[0] if len(spans) == 1 else None
    if not isinstance(value, list) or len(value) != 2:
        return None
    start, end = map(_time, value)
    return None if start is None or end is None else (start, end)


def _spans(text: str) -> list[tuple[float, float]]:
    """The spans that a string of a list or an object names."""
    return [(span.start, span.end) for span in read_prose(_FRAME.sub("", text[:400]))]


def _time(value: Any) -> float | None:
    """A number, "12.5", "12.5s", "1m 5s", "1:05", "frame 12" -> the number or the seconds; else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(_FRAME.sub("", value.strip()) if isinstance(value, str) else value)
    except OverflowError:  # a whole number beyond 1e308
        return math.copysign(math.inf, int(value))
    except ValueError:
        time = read_time(_FRAME.sub("", str(value)))
        return None if time is None else time.number * (1.0 if time.unit is None else time.unit)
    return None if math.isnan(number) else number


def tidy_text(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters, which steers no terminal and can be written to a file."""
    line = printable(" ".join(text[: 2 * limit].encode("utf-8", "replace").decode("utf-8").split()))
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
